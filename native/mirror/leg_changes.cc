// The legs' number and places change while the set runs: a leg comes, leaves, or takes another one's place.
//
// Each change is made with no I/O of the set under way, and is stored in the record before any goes on: a start
// after a crash finds the legs of before or of after. The config names the legs too, and is written by
// src/config/config-legs.ts: what a start does when it knows other legs than the record is in
// mirror/leg_match.h.
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

int MirrorSet::Impl::check_new_leg(const LegDevice& device, int replaces) {
  if (legs.size() >= kMaxIoRegions) return -E2BIG;
  if (replaces >= static_cast<int>(legs.size())) return -EINVAL;
  if (replaces >= 0 && legs[static_cast<size_t>(replaces)]->replaces >= 0) return -EINVAL;
  if (view.in_sync == 0) return -ENXIO;
  if (const int err = check_new_device(device); err != 0) return err;
  for (unsigned index = 0; index < legs.size(); index++) {
    if (replaces >= 0 && legs[index]->replaces == replaces) return -EALREADY;
    if (where[index].bdev != nullptr && where[index].bdev->same_claim(*device.bdev) &&
        legs[index]->sector == device.sector) {
      return -EEXIST;
    }
  }
  return owes_late_io(*device.bdev) ? -EBUSY : 0;
}

// Leg numbers from `index` on move up by one. The reserved vectors do not move.
void MirrorSet::Impl::put_in(unsigned index, std::unique_ptr<Leg> leg, IoRegion region) {
  for (const auto& other : legs) {
    if (other->replaces >= static_cast<int>(index)) other->replaces++;
  }
  if (view.source >= index && index < legs.size()) view.source++;
  legs.insert(legs.begin() + index, std::move(leg));
  where.insert(where.begin() + index, std::move(region));
  legs_epoch.fetch_add(1);
  recompute_view();
  changed();
}

std::unique_ptr<Leg> MirrorSet::Impl::take_from(unsigned index, IoRegion* region) {
  std::unique_ptr<Leg> leg = std::move(legs[index]);
  *region = std::move(where[index]);
  legs.erase(legs.begin() + index);
  where.erase(where.begin() + index);
  for (const auto& other : legs) {
    if (other->replaces > static_cast<int>(index)) other->replaces--;
  }
  if (view.source > index) {
    view.source--;
  } else if (view.source == index) {
    const ErrorBits below = error_bit(index) - 1;
    const ErrorBits left = (view.in_sync & below) | (view.in_sync >> 1 & ~below);
    view.source = left == 0 ? 0 : lowest_index(left);
  }
  legs_epoch.fetch_add(1);
  recompute_view();
  changed();
  return leg;
}

// A device that leaves while it owes us I/O: it must not come back before that has ended.
void MirrorSet::Impl::retire(std::shared_ptr<Device> device) {
  if (device != nullptr && device->late_ios() > 0) retired.push_back(std::move(device));
}

int MirrorSet::add_leg(const LegDevice& device, int replaces) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  unsigned index = 0;
  {
    RangeLock::Guard everything(self.range_lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
    {
      MutexLock lock(self.state_mutex);
      if (const int err = self.check_new_leg(device, replaces); err != 0) return err;
    }
    if (const int err = self.mark_for_rebuild(true); err != 0) return err;
    auto leg = std::make_unique<Leg>();
    leg->device = device.path;
    leg->sector = device.sector;
    leg->state = LegState::kRebuilding;
    leg->identity = record_identity(device.bdev->info().identity);
    uint64_t wanted = 0;
    {
      MutexLock lock(self.state_mutex);
      index = static_cast<unsigned>(self.legs.size());
      leg->left_generation = self.generation + 1;
      self.put_in(index, std::move(leg), IoRegion{device.bdev, device.sector, self.count});
      self.legs[index]->replaces = replaces;
      self.recompute_view();
      wanted = self.generation;
    }
    if (const int err = self.persist(wanted); err != 0) {
      MutexLock lock(self.state_mutex);
      IoRegion unused;
      self.take_from(index, &unused);
      return err;
    }
  }
  log_line(LogLevel::kInfo,
           "set " + self.name + ": leg " + std::to_string(index) + " (" + device.path + ") comes" +
               (replaces < 0 ? " to the set" : " in place of leg " + std::to_string(replaces)));
  return static_cast<int>(index);
}

int MirrorSet::remove_leg(unsigned leg) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  IoRegion region;
  {
    RangeLock::Guard everything(self.range_lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
    std::unique_ptr<Leg> leaving;
    uint64_t wanted = 0;
    {
      MutexLock lock(self.state_mutex);
      if (leg >= self.legs.size()) return -EINVAL;
      for (const auto& other : self.legs) {
        if (other->replaces == static_cast<int>(leg)) return -EALREADY;
      }
      const ErrorBits places = self.view.places & ~error_bit(leg);
      if (places == 0 || (self.view.in_sync & ~error_bit(leg)) == 0) return -EBUSY;
      // What was read from it must not be read otherwise from another.
      if (self.view.source == leg && self.regions->may_differ_count() > 0) return -EAGAIN;
      leaving = self.take_from(leg, &region);
      wanted = self.generation;
    }
    if (const int err = self.persist(wanted); err != 0) {
      MutexLock lock(self.state_mutex);
      self.put_in(leg, std::move(leaving), std::move(region));
      return err;
    }
    MutexLock lock(self.state_mutex);
    self.retire(region.bdev);
  }
  log_line(LogLevel::kInfo, "set " + self.name + ": leg " + std::to_string(leg) + " left the set for good");
  return 0;
}

int MirrorSet::store_record() {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  return self.read_only ? -EROFS : self.persist(self.current_generation());
}

int MirrorSet::promote_leg(unsigned leg) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  int place = -1;
  {
    RangeLock::Guard everything(self.range_lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
    std::unique_ptr<Leg> old;
    IoRegion old_region;
    uint64_t wanted = 0;
    const auto exchange = [&self, &old, &old_region](unsigned at) REQUIRES(self.state_mutex) {
      std::swap(self.legs[at], old);
      std::swap(self.where[at], old_region);
      self.legs_epoch.fetch_add(1);
      self.recompute_view();
      self.changed();
    };
    {
      MutexLock lock(self.state_mutex);
      if (leg >= self.legs.size() || self.legs[leg]->replaces < 0) return -EINVAL;
      if (self.legs[leg]->state != LegState::kInSync || self.regions->may_differ_count() > 0) return -EAGAIN;
      place = self.legs[leg]->replaces;
      old = self.take_from(leg, &old_region);
      place -= static_cast<unsigned>(place) > leg ? 1 : 0;
      old->replaces = -1;
      exchange(static_cast<unsigned>(place));
      wanted = self.generation;
    }
    if (const int err = self.persist(wanted); err != 0) {
      MutexLock lock(self.state_mutex);
      exchange(static_cast<unsigned>(place));
      self.put_in(leg, std::move(old), std::move(old_region));
      self.legs[leg]->replaces = place + (static_cast<unsigned>(place) >= leg ? 1 : 0);
      self.recompute_view();
      return err;
    }
    MutexLock lock(self.state_mutex);
    self.retire(old_region.bdev);
  }
  log_line(LogLevel::kInfo, "set " + self.name + ": leg " + std::to_string(place) + " has been replaced");
  return 0;
}

}  // namespace dmiofs
