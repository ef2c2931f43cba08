// Bringing legs in sync: the copy of one sync region, the start and end of a rebuild, the lazy cleaning of
// the log.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr unsigned kNoLeg = UINT32_MAX;
constexpr size_t kCleanBatch = 4096;  // sync regions
constexpr auto kCleanPause = std::chrono::milliseconds(1000);

}  // namespace

int64_t MirrorSet::next_not_in_sync(uint64_t from) const { return impl_->regions->next_not_in_sync(from); }

bool MirrorSet::recovery_possible() const {
  const LegView seen = impl_->current_view();
  return seen.in_sync != 0 && std::popcount(seen.active) > 1;
}

bool MirrorSet::rebuilding() const {
  const LegView seen = impl_->current_view();
  return seen.active != seen.in_sync;
}

uint64_t MirrorSet::activity() const { return impl_->user_ios.load(std::memory_order_relaxed); }

int MirrorSet::recover_sync_region(uint64_t sync_region) {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (sync_region >= self.regions->count()) return -EINVAL;
  int err = 0;
  {
    // Shared: readers go on (they read the source only), writers to this sync region wait.
    const uint64_t first = sync_region * self.regions->bytes();
    RangeLock::Guard range(self.range_lock, first, std::min(first + self.regions->bytes(), self.size),
                           RangeLock::Mode::kShared);
    if (self.regions->in_sync(sync_region)) return 1;
    err = self.recover_locked(sync_region);
  }
  if (err == 0 && self.regions->in_sync_count() == self.regions->count()) err = self.finish_rebuild();
  return err;
}

int MirrorSet::Impl::recover_locked(uint64_t sync_region) {
  const uint64_t first = sync_region * regions->bytes();
  const uint64_t last = std::min(first + regions->bytes(), size);
  // Dirty on stable storage before a leg is touched: a crash in the middle finds it so.
  if (const int err = regions->start_write(sync_region, sync_region); err != 0) return note_log_failure(err);
  int err = 0;
  for (uint64_t at = first; at < last && err == 0; at += dm_io.max_run_bytes()) {
    err = copy_piece(at, std::min<uint64_t>(dm_io.max_run_bytes(), last - at));
  }
  if (err == 0) regions->set_in_sync(sync_region, true);
  regions->end_write(sync_region, sync_region);
  return err;
}

// Nothing is written that was not read: a source that fails is replaced by another in-sync leg, or the copy
// ends.
int MirrorSet::Impl::copy_piece(uint64_t offset, size_t length) {
  BufferRef buffer = dm_io.acquire(length);
  unsigned failed_leg = kNoLeg;
  if (const int err = read_aligned(&buffer, 0, length, offset, &failed_leg); err != 0) return err;
  const LegView seen = current_view();
  // The leg it was read from is written too: the same bytes, and a sector it could not give is repaired that
  // way.
  const ErrorBits targets = failed_leg == kNoLeg ? seen.active & ~error_bit(seen.source) : seen.active;
  if (targets == 0) return -ENODEV;
  DmIoResult result;
  dm_io.run(buffer, IoOp::kWrite, where, ~targets, offset, length, 0, deadline(), &result);
  if (result.error_bits != 0) {
    if (!fail_legs(result.error_bits, LegErrorKind::kSync, result, offset)) return -EIO;
    if (const int err = persist(current_view().state_generation); err != 0) return err;
    if (std::popcount(current_view().active) < 2) return -ENODEV;
  }
  return 0;
}

int MirrorSet::begin_rebuild(unsigned leg, std::shared_ptr<Device> bdev, bool full) {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (leg >= self.legs.size()) return -EINVAL;
  {
    MutexLock lock(self.state_mutex);
    if ((self.view.active & error_bit(leg)) != 0) return -EEXIST;
  }
  if (bdev == nullptr && self.where[leg].bdev == nullptr) return -ENODEV;

  // No I/O of the set is under way while the leg comes in: from here on every write goes to it.
  RangeLock::Guard everything(self.range_lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
  const uint64_t count = self.regions->count();
  if (full) {
    if (const int err = self.regions->start_write(0, count - 1); err != 0) return self.note_log_failure(err);
    self.regions->end_write(0, count - 1);
  }
  for (uint64_t at = 0; at < count; at++) {
    if (full || self.regions->dirty(at)) self.regions->set_in_sync(at, false);
  }
  if (bdev != nullptr) self.where[leg].bdev = std::move(bdev);
  uint64_t generation = 0;
  {
    MutexLock lock(self.state_mutex);
    self.legs[leg]->state = LegState::kRebuilding;
    self.recompute_view();
    generation = self.view.state_generation;
  }
  if (const int err = self.persist(generation); err != 0) {
    MutexLock lock(self.state_mutex);
    self.legs[leg]->state = LegState::kFailed;
    self.recompute_view();
    return err;
  }
  return self.regions->in_sync_count() == count ? self.finish_rebuild() : 0;
}

// Everything is in sync: the rebuilding legs are good once that is on them and recorded.
int MirrorSet::Impl::finish_rebuild() {
  {
    const LegView seen = current_view();
    if (seen.active == seen.in_sync) return 0;
  }
  if (const int err = flush_legs(LegErrorKind::kSync); err != 0) return err;
  uint64_t generation = 0;
  {
    MutexLock lock(state_mutex);
    if (regions->in_sync_count() != regions->count()) return 0;
    for (auto& leg : legs) {
      if (leg->state != LegState::kRebuilding) continue;
      leg->state = LegState::kInSync;
      leg->left_generation = 0;
      leg->errors = LegErrors{};
      leg->error_kinds = 0;
    }
    recompute_view();
    generation = view.state_generation;
  }
  return persist(generation);
}

int MirrorSet::set_sync_limits(bool paused, uint64_t speed_min, uint64_t speed_max) {
  Impl& self = *impl_;
  uint64_t generation = 0;
  {
    MutexLock lock(self.state_mutex);
    self.record.paused = paused;
    self.record.speed_min = speed_min;
    self.record.speed_max = speed_max;
    generation = ++self.view.state_generation;
  }
  return self.persist(generation);
}

// The set's background thread: dirty sync regions that have been idle become clean, in batches, after a flush
// of all legs. Never while a leg is out: what is dirty then is what its return must copy.
void MirrorSet::Impl::clean_idle() {
  for (;;) {
    {
      MutexLock lock(gate_mutex);
      if (!stopped) gate_changed.wait_until(gate_mutex, std::chrono::steady_clock::now() + kCleanPause);
      if (stopped) return;
    }
    Inside entered(*this);
    if (!entered.ok() || read_only || current_view().active != all_legs()) continue;
    const std::vector<uint64_t> flagged = regions->start_cleaning(now_nanos() - clean_after, kCleanBatch);
    if (flagged.empty()) continue;
    const bool flushed = flush_legs(LegErrorKind::kFlush) == 0 && current_view().active == all_legs();
    if (const int err = regions->finish_cleaning(flagged, flushed); err != 0) note_log_failure(err);
  }
}

}  // namespace dmiofs
