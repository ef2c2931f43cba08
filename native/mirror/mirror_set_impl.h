// The inside of MirrorSet, shared by its parts: mirror_set.cc, set_snapshot.cc, write_path.cc, zero_path.cc, read_path.cc,
// leg_states.cc, leg_changes.cc, set_state.cc, recovery.cc, scrub.cc, scrub_repair.cc, background.cc.
//
// Who waits for what (so that nothing can wait in a circle):
// - range lock -> buffer -> nothing. A thread takes its range first and holds at most one pooled buffer, none
// while it waits for a range.
// - LOCK ORDER of mutexes: state_mutex -> background_mutex, gate_mutex (leaves); state_mutex -> SyncRegions
// -> log. None is held over I/O.
// - `where` (the devices) and `legs` are read under a range of the range lock, kLegsRange at least, and
// changed with all of it and state_mutex. An index of a leg that outlives the range is checked against
// legs_epoch.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "mirror/comparison.h"
#include "mirror/mirror_set.h"
#include "mirror/range_lock.h"
#include "mirror/running_leg.h"
#include "mirror/sync_regions.h"

namespace dmiofs {

struct StartPlan;

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
  unsigned read_error_limit = 0;
  bool read_only = false;
  sector_t sync_region_sectors = 1024;
  nanos_t clean_after = 0;
  SetEventFn on_event;
  std::shared_ptr<DirtyLog> log;
  std::shared_ptr<SetRecordStore> record_store;
  std::unique_ptr<SyncRegions> regions;
  uint64_t in_use_generation = 0;  // the record that says "in use"; durable before the first write

  RangeLock range_lock;
  RangeLock copy_lock;  // of sync regions, by number: one copy of each at a time. Before range_lock
  std::atomic<uint64_t> read_turn{0};
  std::atomic<uint64_t> user_ios{0};
  std::vector<IoRegion> where;
  // Grows when legs come, go or change places: an index from before may be another leg's.
  std::atomic<uint64_t> legs_epoch{0};

  mutable Mutex state_mutex;
  std::vector<std::unique_ptr<Leg>> legs;  // changed and read as `where`, or read with state_mutex
  std::vector<std::shared_ptr<Device>> retired
      GUARDED_BY(state_mutex);  // replaced devices that owe us late I/O
  LegView view GUARDED_BY(state_mutex);
  SetRecord record GUARDED_BY(state_mutex);
  uint64_t generation GUARDED_BY(state_mutex) = 0;  // of the record, grows with every change of what it holds
  bool log_failed GUARDED_BY(state_mutex) = false;
  bool record_failed GUARDED_BY(state_mutex) = false;
  std::atomic<uint64_t> durable_generation{0};
  std::atomic<bool> log_trouble{false};      // log_failed, to look at without the mutex
  std::atomic<bool> set_failed_told{false};  // since I/O last went well
  // A write timed out on a leg that stays, being the last: until it ends on that leg nothing is written that
  // it could overtake. Never reset.
  std::atomic<bool> late_writes{false};
  // Copies of sync regions, and how many of them are surely not in a leg's cache only.
  std::atomic<uint64_t> copies_done{0}, copies_flushed{0};

  // ---- the gate: I/O under way, for stop() ----
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  std::atomic<uint64_t> inside{0};  // with kClosed
  Mutex gate_mutex;
  CondVar gate_changed;
  bool stopping GUARDED_BY(gate_mutex) = false;
  bool stopped GUARDED_BY(gate_mutex) = false;

  // ---- the background thread ----
  std::thread background;
  Mutex background_mutex;
  CondVar background_wake;
  bool background_stop GUARDED_BY(background_mutex) = false;
  std::atomic<bool> background_asleep{false};

  class Inside;  // RAII entry; ok() is false when the set has been stopped

  nanos_t deadline() const { return io_timeout == 0 ? kNoDeadline : now_nanos() + io_timeout; }
  LegView current_view() const {
    MutexLock lock(state_mutex);
    return view;
  }
  bool every_leg_active() const {
    MutexLock lock(state_mutex);
    return view.active == view.all;
  }
  uint64_t current_generation() const {
    MutexLock lock(state_mutex);
    return generation;
  }
  // Of a run() on the legs `on`: each operation goes into its leg's statistics.
  void count_io(ErrorBits on, LegOp op, uint64_t bytes, const DmIoResult& result);
  void tell(SetEventKind kind, int leg = -1, int err = 0, sector_t sector = 0) const;

  // mirror_set.cc
  void load_log(bool sync_dirty);
  void take_up(const std::vector<LegOptions>& given, const SetRecord& from, const StartPlan& plan);
  void begin(const StartPlan& plan);
  void come_to_rest();

  // set_state.cc: the view of the legs, the record and its durability
  void changed() REQUIRES(state_mutex);
  void recompute_view() REQUIRES(state_mutex);
  SetRecord build_record() REQUIRES(state_mutex);
  int persist(uint64_t wanted);
  int flush_copies();
  int note_log_failure(int err);
  void note_log_success();

  // leg_states.cc: what errors mean
  void note_errors(ErrorBits bits, LegErrorKind kind, const DmIoResult& result, uint64_t offset)
      REQUIRES(state_mutex);
  bool take_out(ErrorBits bits, LegErrorKind kind, const DmIoResult& result, uint64_t offset,
                std::optional<uint64_t> epoch = std::nullopt);
  bool take_out_one(unsigned leg, LegErrorKind kind, int err, uint64_t offset);
  int settle(const LegView& seen, const DmIoResult& result, LegErrorKind kind, uint64_t offset,
             uint64_t length);
  void out_of_sync(uint64_t offset, uint64_t length);
  void tell_set_failed(uint64_t offset);

  // write_path.cc, zero_path.cc
  int start_write(uint64_t first, uint64_t last);
  int admit_write();
  int write_locked(const uint8_t* data, uint64_t size_bytes, uint64_t offset);
  int write_piece(const uint8_t* data, size_t size_bytes, uint64_t offset);
  int read_edges(BufferRef* buffer, uint64_t start, uint64_t end, bool head, bool tail);
  int flush_legs(LegErrorKind kind);
  int zero_locked(uint64_t offset, uint64_t size_bytes, bool discard);
  int zero_piece(uint64_t offset, uint64_t length, bool discard);
  void write_zeros(ErrorBits on, uint64_t offset, uint64_t length, DmIoResult* result);
  uint64_t zero_piece_bytes() const;

  // read_path.cc
  int read_blocks(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset,
                  ReadOutcome* outcome);
  bool read_leg(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset, unsigned index,
                ReadOutcome* outcome, nanos_t* took);
  unsigned choose_leg(const LegView& seen, uint64_t offset, size_t length, ErrorBits tried);
  void repair_read(unsigned leg, uint64_t offset, uint64_t length, uint64_t epoch);
  int repair_piece(BufferRef* buffer, unsigned leg, uint64_t offset, size_t length);

  // leg_changes.cc
  int check_new_leg(const LegDevice& device, int replaces) REQUIRES(state_mutex);
  void put_in(unsigned index, std::unique_ptr<Leg> leg, IoRegion region) REQUIRES(state_mutex);
  std::unique_ptr<Leg> take_from(unsigned index, IoRegion* region) REQUIRES(state_mutex);
  void retire(std::shared_ptr<Device> device) REQUIRES(state_mutex);

  // recovery.cc
  int recover_locked(uint64_t sync_region);
  int copy_piece(uint64_t offset, size_t length);
  int check_new_device(const LegDevice& device) const;
  bool owes_late_io(const Device& device) REQUIRES(state_mutex);
  void put_leg(unsigned leg, const LegDevice& device) REQUIRES(state_mutex);
  int mark_for_rebuild(bool full);
  int finish_rebuild();
  void make_in_sync(ErrorBits rebuilt) REQUIRES(state_mutex);

  // scrub.cc
  struct ScrubPass;
  ErrorBits to_compare(const ScrubPass& pass, const LegView& seen);
  int compare_piece(ScrubPass* pass, uint64_t offset, size_t length);
  int legs_alike(ScrubPass* pass, uint64_t offset, size_t length);
  int find_in_piece(ScrubPass* pass, uint64_t offset, size_t length, bool* again);

  // scrub_repair.cc
  bool repair_differences(ScrubPass* pass, uint64_t offset);
  bool repair_one(ScrubPass* pass, uint64_t offset, Difference* difference);
  bool step_aside(ScrubPass* pass, const Difference& difference);
  void step_back(ScrubPass* pass);

  // background.cc
  void wake_background();
  void run_background();
  void clean_idle();
  bool clean_batch(nanos_t idle, size_t most);
};

// A range past the end of every set, which flushes hold shared: they wait for nobody but a change of the
// devices.
inline constexpr uint64_t kLegsRange = UINT64_MAX - 1;

class MirrorSet::Impl::Inside {
 public:
  explicit Inside(Impl& impl) : impl_(impl), ok_((impl.inside.fetch_add(1) & kClosed) == 0) {}
  ~Inside() {
    if (impl_.inside.fetch_sub(1) != (kClosed | 1)) return;
    MutexLock lock(impl_.gate_mutex);
    impl_.gate_changed.notify_all();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  bool ok() const { return ok_; }

 private:
  Impl& impl_;
  const bool ok_;
};

}  // namespace dmiofs
