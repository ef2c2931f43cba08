// MirrorSet: legs shown as one array of bytes. Writes go to every leg at once, a read comes from one; a leg
// that fails is out.
//
//     set:  running --stop()--> stopped
//     set state: complete (every leg in-sync) | degraded | failed (no in-sync leg is left)
//
// What it promises (docs/mirror.md has the table)
// - A write is acknowledged when every in-sync leg has it, or each leg that has not is failed and recorded so
// on stable storage first.
// - Overlapping writes are serialised by the range lock, and a read never runs beside a write to the same
// bytes: legs end equal, reads are
//   linearizable.
// - A leg that left is not read or written until it is re-added or replaced and rebuilt. The last in-sync leg
// is never failed by an error: it goes to
//   the caller as -EIO. When one write fails on every in-sync leg none is failed: the write was not
//   acknowledged, its sync regions become not in sync.
// - A sync region where legs may differ is read from the source leg only; if that fails, from another in-sync
// leg, which becomes the source.
//
// THREAD SAFETY: read, write, flush, zero, snapshot: any thread at any time while running. Control calls: any
// thread. LOCK ORDER: mirror/mirror_set_impl.h; never a mutex over I/O (the range lock is not a mutex and is
// held over I/O). OWNERSHIP: shared_ptr by the mount and by JavaScript; holds its devices, log and record;
// the DmIo outlives it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmio/dm_io.h"
#include "mirror/comparison.h"
#include "mirror/dirty_log.h"
#include "mirror/leg.h"
#include "mirror/leg_statistics.h"
#include "mirror/set_record.h"
#include "mirror/sync_map.h"

namespace dmiofs {

enum class ReadPolicy : uint8_t { kPrimary, kRoundRobin, kFastest };
enum class SetState : uint8_t { kComplete, kDegraded, kFailed };
const char* to_string(SetState state);

// What the set tells by itself, for `dmiofs monitor`; of sync actions the loop that runs them tells (src/mirror/event.ts).
enum class SetEventKind : uint8_t { kLegFailed, kDegradedAtStart, kSetFailed, kLogFailed, kSyncNeeded };
struct SetEvent {
  SetEventKind kind;
  int leg = -1;  // -1: the set
  int err = 0;   // positive errno, 0: none
  sector_t sector = 0;
};
// Called on the thread where it happened, no lock held; must not block (the addon queues it for JavaScript).
using SetEventFn = std::function<void(const SetEvent&)>;

struct LegOptions {
  std::string device;            // path, for people
  std::shared_ptr<Device> bdev;  // null: missing
  sector_t sector = 0;
  LegState state = LegState::kInSync;  // to start with, when there is no record
  int replaces = -1;                   // a replacement: index of the leg whose place it takes; -1: a leg
};

// How many trusted in-sync legs a set needs to start.
enum class StartPolicy : uint8_t { kAny, kMajority, kAll };

// A device for a leg that comes, or comes back.
struct LegDevice {
  std::string path;
  std::shared_ptr<Device> bdev;
  sector_t sector = 0;
};

struct MirrorSetOptions {
  std::string name;
  sector_t count = 0;  // size of the set
  std::vector<LegOptions> legs;
  ReadPolicy read_policy = ReadPolicy::kPrimary;
  nanos_t io_timeout = 0;  // 0: wait for ever
  // A leg leaves that had more read errors than this lately, each of them repaired; 0: no limit.
  // mirror/read_error_limit.h
  unsigned read_error_limit = 20;
  bool read_only = false;
  sector_t sync_region_sectors = 1024;  // power of two
  SetEventFn on_event;

  // What is kept over a restart. Without them the set starts in sync with the legs as given; `record` is what
  // record_store holds, and then it, not LegOptions, says which legs are trusted (mirror/set_start.h).
  std::shared_ptr<DirtyLog> log;
  std::shared_ptr<SetRecordStore> record_store;
  std::optional<SetRecord> record;
  bool log_distrusted =
      false;  // its bits are not all ours (OpenedLog::all_dirty, written_by_other): an unclean start
  StartPolicy start = StartPolicy::kAny;
  nanos_t clean_after = 5 * kNanosPerSecond;  // a sync region is cleaned when it was idle for this long
};

struct SetInfo {
  std::string name;
  sector_t count = 0;
  uint32_t block_size = 512;  // largest logical block of the legs
  SetState state = SetState::kFailed;
  ErrorBits read_bits = 0, write_bits = 0, flush_bits = 0;
  uint64_t sync_regions = 0, in_sync_regions = 0, dirty_sync_regions = 0;
  sector_t sync_region_sectors = 0;
  int read_leg = -1;  // where the next read by policy `primary` goes; the source leg
  bool read_only = false;
  bool log_failed = false;
  uint64_t generation = 0;
  unsigned late_ios = 0;
  unsigned in_flight = 0;   // operations of users under way
  bool paused = false;      // of the sync action, with its limits: what the record holds
  bool limits_set = false;  // false: there are none
  uint64_t speed_min = 0, speed_max = 0;
  std::vector<LegInfo> legs;
};

// What a read can give instead of a copy: the pooled buffer that the leg's I/O filled. While it is held no
// other buffer and no range may be waited for (mirror_set_impl.h): the holder passes the data on and lets go.
struct ReadLoan {
  BufferRef buffer;
  const uint8_t* data = nullptr;  // null: there is none, the data were copied
};

class MirrorSet {
 public:
  static Result<std::shared_ptr<MirrorSet>> create(DmIo& dm_io, MirrorSetOptions options);
  ~MirrorSet();

  uint64_t size_bytes() const;
  uint32_t block_size() const;

  // ---- data plane: bytes, any alignment, within the set: 0 <= offset, offset + size <= size_bytes(). 0 or
  // -errno, never partial. ----
  // With `loan`: where one transfer was enough `data` is left alone and loan->data has it, `size` bytes.
  int read(void* data, size_t size, uint64_t offset, ReadLoan* loan = nullptr);
  int write(const void* data, size_t size, uint64_t offset);
  int flush();
  // The range reads as zeros afterwards, on every leg. `discard`: the legs may give the space back.
  int zero(uint64_t offset, uint64_t size, bool discard);

  // ---- control plane ----
  SetInfo snapshot() const;
  std::vector<LegTotals> leg_totals() const;
  SyncMap sync_map(size_t most) const;  // SyncRegions::map
  int fail_leg(unsigned leg);  // -EINVAL no such leg, -EALREADY it is out already, -EBUSY the last in-sync
                               // one, -EIO not recorded
  int clear_errors(int leg);   // -1: all

  // A failed or missing leg comes back as rebuilding, on `device` (opened again, or another one) or on the
  // one it has. Every sync region that is dirty becomes not in sync; every one at all with `full` or when the
  // device is not the one the leg had. 0 once that is on stable storage; -EINVAL no such leg or a device with
  // a larger block; -EEXIST it is in-sync or rebuilding; -ENODEV no device; -ENOSPC too small; -EROFS; -EBUSY
  // a write that timed out may still land on the device; -EIO the log or the record cannot be written. But
  // for 0 the leg is as it was.
  int begin_rebuild(unsigned leg, std::optional<LegDevice> device, bool full);

  // The number of legs changes, with no I/O of the set under way and stored in the record; but for 0 (add_leg:
  // an index) nothing has. -EIO: the record or the log cannot be written.
  // A leg more, the last one: rebuilding, all is copied to it. `replaces` >= 0: it is to take the place of that
  // leg, which serves on. -EINVAL, -ENODEV, -ENOSPC, -EROFS, -EBUSY as begin_rebuild; -EEXIST the device is in
  // the set at this place; -EALREADY that leg is being replaced; -E2BIG there are 64; -ENXIO no in-sync leg to
  // copy from.
  int add_leg(const LegDevice& device, int replaces);
  // The legs above move down by one. -EBUSY the last in-sync one; -EALREADY it is being replaced; -EAGAIN
  // legs may differ, and it is the source of their resync.
  int remove_leg(unsigned leg);
  // A replacement that is in-sync takes its place. -EINVAL it is none; -EAGAIN it is not in-sync, or legs may
  // differ.
  int promote_leg(unsigned leg);
  // What the set knows by now is on stable storage; -EIO: it is not. Before a config is written that relies on it.
  int store_record();

  int64_t next_not_in_sync(uint64_t from) const;
  // Copies one sync region from the source leg to all others that are in use. 0: it is in sync now; 1: it was
  // already; -errno: it is still not. With the last one the rebuilding legs become in-sync, which is recorded
  // first.
  int recover_sync_region(uint64_t sync_region);

  // Compares what every leg that must hold one sync region holds there, while it is used: writers wait for the
  // piece that is being read. 0: compared, `found` has the differences; 1: not, or not all of it: it is not
  // in sync, or fewer than two legs hold it; -errno: no leg could be read, or memory is short. A leg that cannot
  // be read is treated as in any read. `repair`: the legs that are not right are written, as any write is, and
  // read back; what could not be is told (DifferingRange::repaired).
  int compare_sync_region(uint64_t sync_region, bool repair, Comparison* found);

  bool recovery_possible() const;  // something to copy from and to
  bool rebuilding() const;         // a leg is
  uint64_t activity() const;       // counts reads and writes of users
  int set_sync_limits(bool paused, uint64_t speed_min, uint64_t speed_max);  // kept in the record

  // Waits for I/O under way (late I/O excepted), flushes the legs, marks what is in sync clean; later I/O
  // gets -ESHUTDOWN. Any number of times.
  void stop();

  MirrorSet(const MirrorSet&) = delete;
  MirrorSet& operator=(const MirrorSet&) = delete;

 private:
  struct Impl;
  explicit MirrorSet(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace dmiofs
