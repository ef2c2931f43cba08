// The inside of MirrorSet, shared by its parts: write_path.cc, read_path.cc, zero_path.cc, leg_states.cc,
// recovery.cc, mirror_set.cc.
//
// LOCK ORDER: range_lock -> persist_mutex -> state_mutex -> SyncRegions -> log. No mutex is held over I/O but
// persist_mutex, which orders stores of the record and which no data path takes unless a leg has just left.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "mirror/mirror_set.h"
#include "mirror/range_lock.h"
#include "mirror/sync_regions.h"

namespace dmiofs {

// What a data path sees of the legs: taken once, at the start of an I/O.
struct LegView {
  ErrorBits in_sync = 0;
  ErrorBits active = 0;  // in-sync or rebuilding: what is written to
  unsigned source = 0;   // where sync regions that are not in sync are read; meaningless when in_sync is 0
  uint64_t state_generation = 0;
};

struct LegCounters {
  std::atomic<uint64_t> reads{0}, writes{0}, flushes{0}, read_bytes{0}, write_bytes{0}, repaired_reads{0};
  std::atomic<int64_t> latency{0};  // nanoseconds, moving average of reads
};

struct Leg {
  std::string device;
  sector_t sector = 0;
  LegState state = LegState::kMissing;  // guarded by state_mutex
  LegErrors errors;
  uint8_t error_kinds = 0;
  uint64_t left_generation = 0;
  Uuid uuid{};
  LegCounters counters;
};

struct MirrorSet::Impl {
  explicit Impl(DmIo& core) : dm_io(core) {}

  // ---- constant after creation ----
  DmIo& dm_io;
  std::string name;
  sector_t count = 0;
  uint64_t size = 0;  // bytes
  uint32_t block = 512;
  ReadPolicy read_policy = ReadPolicy::kPrimary;
  nanos_t io_timeout = 0;
  bool read_only = false;
  sector_t sync_region_sectors = 1024;
  nanos_t clean_after = 0;
  SetEventFn on_event;
  std::shared_ptr<DirtyLog> log;
  std::shared_ptr<SetRecordStore> record_store;
  std::unique_ptr<SyncRegions> regions;

  RangeLock range_lock;
  std::atomic<uint64_t> round_robin{0};
  std::atomic<uint64_t> user_ios{0};

  // Changed only by begin_rebuild, with the whole range locked exclusively.
  std::vector<IoRegion> where;

  Mutex persist_mutex ACQUIRED_BEFORE(state_mutex);
  mutable Mutex state_mutex;
  std::vector<std::unique_ptr<Leg>> legs;  // their states: guarded by state_mutex
  LegView view GUARDED_BY(state_mutex);
  SetRecord record GUARDED_BY(state_mutex);
  bool log_failed GUARDED_BY(state_mutex) = false;
  bool set_failed_told GUARDED_BY(state_mutex) = false;
  std::atomic<uint64_t> durable_generation{0};

  // ---- the gate: I/O under way, for stop() ----
  Mutex gate_mutex;
  CondVar gate_changed;
  unsigned inside GUARDED_BY(gate_mutex) = 0;
  bool closed GUARDED_BY(gate_mutex) = false;
  bool stopped GUARDED_BY(gate_mutex) = false;
  std::thread cleaner;

  class Inside;  // RAII entry; ok() is false when the set has been stopped

  nanos_t deadline() const { return io_timeout == 0 ? kNoDeadline : now_nanos() + io_timeout; }
  LegView current_view() const {
    MutexLock lock(state_mutex);
    return view;
  }
  ErrorBits all_legs() const { return legs.size() == 64 ? ~ErrorBits{0} : (ErrorBits{1} << legs.size()) - 1; }
  void tell(SetEventKind kind, int leg = -1, int err = 0, sector_t sector = 0) const;

  // leg_states.cc
  void recompute_view() REQUIRES(state_mutex);
  SetRecord build_record() REQUIRES(state_mutex);
  void note_errors(ErrorBits bits, LegErrorKind kind, const DmIoResult& result, uint64_t offset)
      REQUIRES(state_mutex);
  int settle_write(const LegView& seen, BufferRef& buffer, DmIoResult* result, LegErrorKind kind,
                   uint64_t offset, uint64_t length);
  bool fail_legs(ErrorBits bits, LegErrorKind kind, const DmIoResult& result, uint64_t offset);
  int persist(uint64_t generation);
  int note_log_failure(int err);

  // write_path.cc, zero_path.cc
  int write_locked(const uint8_t* data, uint64_t size_bytes, uint64_t offset);
  int write_piece(const uint8_t* data, size_t size_bytes, uint64_t offset);
  int flush_legs(LegErrorKind kind);
  int zero_locked(uint64_t offset, uint64_t size_bytes, bool discard);
  int zero_piece(uint64_t offset, uint64_t length, bool discard);

  // read_path.cc
  int read_aligned(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset,
                   unsigned* failed_leg);
  int choose_leg(const LegView& seen, uint64_t offset, size_t length, ErrorBits tried);
  void repair_read(unsigned leg, uint64_t offset, size_t length);

  // recovery.cc
  int recover_locked(uint64_t sync_region);
  int copy_piece(uint64_t offset, size_t length);
  int finish_rebuild();
  void clean_idle();
};

class MirrorSet::Impl::Inside {
 public:
  explicit Inside(Impl& impl) : impl_(impl) {
    MutexLock lock(impl_.gate_mutex);
    ok_ = !impl_.closed;
    if (ok_) impl_.inside++;
  }
  ~Inside() {
    if (!ok_) return;
    MutexLock lock(impl_.gate_mutex);
    if (--impl_.inside == 0 && impl_.closed) impl_.gate_changed.notify_all();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  bool ok() const { return ok_; }

 private:
  Impl& impl_;
  bool ok_ = false;
};

}  // namespace dmiofs
