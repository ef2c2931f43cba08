// Bringing legs in sync: a leg comes back, one sync region is copied, the last one makes it good. The loop is
// src/mirror/sync-action.ts.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

int64_t MirrorSet::next_not_in_sync(uint64_t from) const { return impl_->regions->next_not_in_sync(from); }

bool MirrorSet::recovery_possible() const {
  const LegView seen = impl_->current_view();
  return !impl_->read_only && seen.in_sync != 0 && std::popcount(seen.active) > 1;
}

bool MirrorSet::rebuilding() const {
  const LegView seen = impl_->current_view();
  return seen.active != seen.in_sync;
}

uint64_t MirrorSet::activity() const { return impl_->user_ios.load(std::memory_order_relaxed); }

int MirrorSet::recover_sync_region(uint64_t sync_region) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (sync_region >= self.regions->count()) return -EINVAL;
  int err = 0;
  {
    // Shared: readers go on (they read the source only), writers to this sync region wait.
    const uint64_t first = sync_region * self.regions->bytes();
    RangeLock::Guard copy(self.copy_lock, sync_region, sync_region + 1, RangeLock::Mode::kExclusive);
    RangeLock::Guard range(self.range_lock, first, std::min(first + self.regions->bytes(), self.size),
                           RangeLock::Mode::kShared);
    if (self.regions->in_sync(sync_region)) return 1;
    // Dirty on stable storage before a leg is touched: a crash in the middle finds it so.
    if (const int failed = self.start_write(sync_region, sync_region); failed != 0) return failed;
    err = self.recover_locked(sync_region);
    self.regions->end_write(sync_region, sync_region);
  }
  if (err == 0 && self.regions->in_sync_count() == self.regions->count()) err = self.finish_rebuild();
  return err;
}

int MirrorSet::Impl::recover_locked(uint64_t sync_region) {
  const uint64_t first = sync_region * regions->bytes();
  const uint64_t last = std::min(first + regions->bytes(), size);
  for (uint64_t at = first; at < last; at += dm_io.max_run_bytes()) {
    if (const int err = copy_piece(at, std::min<uint64_t>(dm_io.max_run_bytes(), last - at)); err != 0)
      return err;
  }
  copies_done.fetch_add(1);
  // What a write makes of it from now on, it makes of it on all legs in use.
  regions->set_in_sync(sync_region);
  return 0;
}

// Nothing is written that was not read: a source that fails is replaced by another in-sync leg, or the copy
// ends.
int MirrorSet::Impl::copy_piece(uint64_t offset, size_t length) {
  if (const int err = admit_write(); err != 0) return err;
  BufferRef buffer = dm_io.acquire(length);
  ReadOutcome outcome;
  if (const int err = read_blocks(&buffer, 0, length, offset, &outcome); err != 0) return err;
  // An in-sync leg is written only where it may differ, or could not give it: that repairs it, or takes it out.
  const LegView seen = current_view();
  const ErrorBits wanting =
      regions->may_differ(regions->of(offset)) ? seen.active : (seen.active & ~seen.in_sync) | outcome.failed;
  const ErrorBits targets = wanting & seen.active & ~error_bit(outcome.leg);
  if (targets == 0) return std::popcount(seen.active) > 1 ? 0 : -ENODEV;
  DmIoResult result;
  dm_io.run(buffer, IoOp::kWrite, where, ~targets, offset, length, 0, deadline(), &result);
  if (result.error_bits == 0) return 0;
  buffer = BufferRef();  // persist() may need one
  if (!take_out(result.error_bits, LegErrorKind::kSync, result, offset)) return -EIO;
  if (const int err = persist(current_view().left_generation); err != 0) return err;
  return std::popcount(current_view().active) > 1 ? 0 : -ENODEV;
}

// Whether a device can hold this set's data; the set's block size is constant, so that of a new leg cannot be
// larger.
int MirrorSet::Impl::check_new_device(const LegDevice& device) const {
  if (device.bdev == nullptr) return -ENODEV;
  const DeviceInfo& info = device.bdev->info();
  if (!info.writable) return -EROFS;
  if (info.logical_block_size > block || !is_aligned(bytes_of(device.sector), info.logical_block_size))
    return -EINVAL;
  return info.size_bytes < size || bytes_of(device.sector) > info.size_bytes - size ? -ENOSPC : 0;
}

// A write that timed out may still land on its device, after newer ones, also when that was opened again
// since.
bool MirrorSet::Impl::owes_late_io(const Device& device) {
  std::erase_if(retired, [](const std::shared_ptr<Device>& old) { return old->late_ios() == 0; });
  for (const std::shared_ptr<Device>& old : retired) {
    if (old->info().identity == device.info().identity) return true;
  }
  return device.late_ios() > 0;
}

void MirrorSet::Impl::put_leg(unsigned leg, const LegDevice& device) {
  Leg& coming = *legs[leg];
  coming.device = device.path;
  coming.sector = device.sector;
  coming.identity = record_identity(device.bdev->info().identity);
  coming.state = LegState::kRebuilding;
  where[leg].bdev = device.bdev;
  where[leg].sector = device.sector;
  recompute_view();
}

// What the leg that comes in must get, with every range locked. Stays so if the rebuild does not start after
// all: copying more is harmless.
int MirrorSet::Impl::mark_for_rebuild(bool full) {
  const uint64_t last = regions->count() - 1;
  if (full) {
    if (const int err = start_write(0, last); err != 0) return err;
    regions->end_write(0, last);
  }
  for (int64_t at = 0; (at = regions->next_dirty(static_cast<uint64_t>(at))) >= 0; at++) {
    regions->set_not_in_sync(static_cast<uint64_t>(at));
  }
  return 0;
}

int MirrorSet::begin_rebuild(unsigned leg, std::optional<LegDevice> device, bool full) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  {
    // No I/O of the set is under way while the leg comes in: from here on every write goes to it.
    RangeLock::Guard everything(self.range_lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
    if (leg >= self.legs.size()) return -EINVAL;
    Leg& coming = *self.legs[leg];
    {
      MutexLock lock(self.state_mutex);
      if ((self.view.active & error_bit(leg)) != 0) return -EEXIST;
      const LegDevice had{coming.device, self.where[leg].bdev, coming.sector};
      // Opened again beside the open one: the one that it has knows of its late I/O.
      const bool same = device.has_value() && had.bdev != nullptr && device->bdev->same_claim(*had.bdev) &&
                        device->sector == had.sector;
      if (!device.has_value() || same) device = had;
      if (const int err = self.check_new_device(*device); err != 0) return err;
      if (had.bdev != nullptr && had.bdev->late_ios() > 0) self.retired.push_back(had.bdev);
      if (self.owes_late_io(*device->bdev)) return -EBUSY;
      full = full || record_identity(device->bdev->info().identity) != coming.identity ||
             device->sector != coming.sector;
    }
    if (const int err = self.mark_for_rebuild(full); err != 0) return err;
    uint64_t wanted = 0;
    LegState before;
    DeviceIdentity identity_before;
    {
      MutexLock lock(self.state_mutex);
      before = coming.state;
      identity_before = coming.identity;
      self.put_leg(leg, *device);
      self.changed();
      wanted = self.generation;
    }
    if (const int err = self.persist(wanted); err != 0) {
      MutexLock lock(self.state_mutex);
      coming.state = before;
      coming.identity = identity_before;
      self.recompute_view();
      self.changed();
      return err;
    }
  }
  log_line(LogLevel::kInfo, "set " + self.name + ": leg " + std::to_string(leg) + " comes back, " +
                                std::to_string(self.regions->count() - self.regions->in_sync_count()) +
                                " sync regions to copy");
  return self.regions->in_sync_count() == self.regions->count() ? self.finish_rebuild() : 0;
}

// Everything is in sync: the rebuilding legs are good once that is on them and recorded.
int MirrorSet::Impl::finish_rebuild() {
  for (;;) {
    ErrorBits rebuilt = 0;
    uint64_t epoch = 0;
    {
      MutexLock lock(state_mutex);
      rebuilt = view.active & ~view.in_sync;
      epoch = legs_epoch.load();
    }
    if (rebuilt == 0) return 0;
    const uint64_t copied = copies_done.load();
    if (const int err = flush_legs(LegErrorKind::kSync); err != 0) return err;
    uint64_t wanted = 0;
    {
      MutexLock lock(state_mutex);
      if (regions->in_sync_count() != regions->count()) return 0;
      // Other legs, or copies that the flush has not seen: once more.
      if (legs_epoch.load() != epoch || copies_done.load() != copied) continue;
      make_in_sync(rebuilt);
      wanted = generation;
    }
    return persist(wanted);
  }
}

void MirrorSet::Impl::make_in_sync(ErrorBits rebuilt) {
  for (; rebuilt != 0; rebuilt &= rebuilt - 1) {
    Leg& leg = *legs[lowest_index(rebuilt)];
    if (leg.state != LegState::kRebuilding) continue;
    leg.state = LegState::kInSync;
    leg.left_generation = 0;
    leg.errors = LegErrors{};
    leg.read_errors.clear();
    leg.error_kinds = 0;
  }
  recompute_view();
  changed();
}

}  // namespace dmiofs
