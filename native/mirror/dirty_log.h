// DirtyLog: which sync regions may differ between legs, on stable storage. A clear bit (dirty) is written
// before the first write to a sync region.
//
// The mirror set keeps its own view in memory (mirror/sync_regions.h); this is what survives a crash.
// disk_log.h implements it in the kernel's dm-log disk format; core_log.h keeps it in memory only: every
// start of the set then copies everything (the kernel's core log).
//
// THREAD SAFETY: thread-safe. LOCK ORDER: below the set's state mutex; its mutex is not held over I/O.
#pragma once

#include <cstdint>

namespace dmiofs {

// How the log is, in the kernel's words (dm-log.c disk_status).
struct LogStatus {
  char health = 'A';  // A alive, D a read or write of the log failed, F a flush of it failed
  int err = 0;        // positive errno of the last failure, 0 while alive
};

class DirtyLog {
 public:
  virtual ~DirtyLog() = default;

  // Makes sync regions [first, last] dirty on stable storage; callers that come together share one write. 0,
  // or -errno: the log cannot be written (then none of the writes that need it may be done).
  virtual int mark(uint64_t first, uint64_t last) noexcept = 0;

  // Cleaning is in two steps, so that a mark() that comes between sees the bit that it has to clear:
  // stage_clean changes the bits in memory only and does not block (the caller holds the lock that orders it
  // with writes); write_clean brings them to the log. The caller has flushed all legs since the last write to
  // these sync regions. Losing it in a crash is harmless.
  virtual void stage_clean(uint64_t sync_region) noexcept = 0;
  virtual int write_clean() noexcept = 0;

  // Whether it is dirty on stable storage: a write to it needs no mark().
  virtual bool dirty(uint64_t sync_region) const noexcept = 0;

  // How many are dirty, or would be if the log could be written.
  virtual uint64_t count_dirty() const noexcept { return 0; }

  // A failed log heals: each mark() that needs it tries again (space was freed, the device is back), and one
  // that succeeds makes it alive.
  virtual LogStatus status() const noexcept { return {}; }
};

}  // namespace dmiofs
