// The set's state as a whole: who is in it (the view), the record that remembers it, and when that is on
// stable storage.
#include <cerrno>
#include <utility>

#include "base/errno_name.h"
#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

namespace {

void raise_to(std::atomic<uint64_t>* what, uint64_t value) {
  uint64_t now = what->load(std::memory_order_relaxed);
  while (now < value && !what->compare_exchange_weak(now, value, std::memory_order_acq_rel)) {
  }
}

}  // namespace

const char* to_string(SetState state) {
  switch (state) {
    case SetState::kComplete: return "complete";
    case SetState::kDegraded: return "degraded";
    case SetState::kFailed: return "failed";
  }
  return "?";
}

void MirrorSet::Impl::count_io(ErrorBits on, LegOp op, uint64_t bytes, const DmIoResult& result) {
  for (; on != 0; on &= on - 1) {
    const auto index = lowest_index(on);
    legs[index]->counters.statistics.record(op, bytes, result.took[index]);
  }
}

void MirrorSet::Impl::tell(SetEventKind kind, int leg, int err, sector_t sector) const {
  if (on_event) on_event(SetEvent{kind, leg, err, sector});
}

// What the record holds has changed. Who needs it durable calls persist(); else the background thread does,
// soon.
void MirrorSet::Impl::changed() {
  generation++;
  if (background_asleep.load()) wake_background();
}

void MirrorSet::Impl::recompute_view() {
  ErrorBits in_sync = 0;
  ErrorBits active = 0;
  view.all = 0;
  view.places = 0;
  for (unsigned index = 0; index < legs.size(); index++) {
    view.all |= error_bit(index);
    if (legs[index]->replaces < 0) view.places |= error_bit(index);
    if (legs[index]->state == LegState::kInSync) in_sync |= error_bit(index);
    if (legs[index]->state == LegState::kInSync || legs[index]->state == LegState::kRebuilding)
      active |= error_bit(index);
  }
  // The source stays while something is being copied from it, so that two reads of one sync region never
  // differ.
  const bool keep = regions->in_sync_count() != regions->count() && (in_sync & error_bit(view.source)) != 0;
  if (!keep) view.source = in_sync == 0 ? 0 : lowest_index(in_sync);
  view.in_sync = in_sync;
  view.active = active;
}

SetRecord MirrorSet::Impl::build_record() {
  record.generation = generation;
  record.legs.resize(legs.size());
  for (unsigned index = 0; index < legs.size(); index++) {
    const Leg& leg = *legs[index];
    LegRecord& stored = record.legs[index];
    stored.uuid = leg.uuid;
    stored.identity = leg.identity;
    stored.sector = leg.sector;
    stored.count = count;
    stored.state = leg.state;
    stored.replaces = leg.replaces;
    stored.left_generation = leg.left_generation;
    stored.errors = leg.errors;
    stored.error_kinds = leg.error_kinds;
  }
  return record;
}

// Before a record that may name another source is stored: what was copied from the old one must not be lost by a
// cache of the new one, or what was read once would be read differently after a power cut.
int MirrorSet::Impl::flush_copies() {
  const uint64_t done = copies_done.load();
  while (copies_flushed.load() < done) {
    std::vector<IoRegion> devices;  // a copy: no range need be held here
    ErrorBits in_sync = 0;
    uint64_t epoch = 0;
    {
      MutexLock lock(state_mutex);
      devices = where;
      in_sync = view.in_sync;
      epoch = legs_epoch.load();
    }
    DmIoResult result;
    {
      BufferRef buffer = dm_io.acquire(0);
      dm_io.run(buffer, IoOp::kFlush, devices, ~in_sync, 0, 0, 0, deadline(), &result);
    }
    if (result.error_bits != 0 && !take_out(result.error_bits, LegErrorKind::kFlush, result, 0, epoch))
      return -EIO;
    // Else these were perhaps other legs: once more.
    if (result.error_bits == 0 || legs_epoch.load() == epoch) raise_to(&copies_flushed, done);
  }
  return 0;
}

// Makes everything up to `wanted` durable: who is out, before anyone is told that a write without them is
// done.
int MirrorSet::Impl::persist(uint64_t wanted) {
  if (durable_generation.load(std::memory_order_acquire) >= wanted) return 0;
  if (const int err = flush_copies(); err != 0) return err;
  SetRecord newest;
  {
    MutexLock lock(state_mutex);
    newest = build_record();
  }
  // The store serialises, and never replaces a record by an older one.
  const int err = record_store != nullptr ? record_store->store(newest) : 0;
  bool told = true;
  {
    MutexLock lock(state_mutex);
    if (err != 0)
      told = std::exchange(record_failed, true);
    else
      record_failed = false;
  }
  if (err == 0) {
    raise_to(&durable_generation, newest.generation);
    return 0;
  }
  if (!told) {
    log_line(LogLevel::kError, "set " + name + ": its record cannot be written: " + errno_name(-err) +
                                   ": writes that need it fail, reads go on");
    tell(SetEventKind::kLogFailed, -1, -err);
  }
  return -EIO;
}

int MirrorSet::Impl::note_log_failure(int err) {
  bool told = false;
  {
    MutexLock lock(state_mutex);
    told = std::exchange(log_failed, true);
    log_trouble.store(true);
  }
  if (!told) {
    log_line(LogLevel::kError, "set " + name + ": the dirty region log cannot be written: " +
                                   errno_name(-err) + ": writes that need it fail, reads go on");
    tell(SetEventKind::kLogFailed, -1, -err);
  }
  return -EIO;
}

void MirrorSet::Impl::note_log_success() {
  MutexLock lock(state_mutex);
  log_failed = false;
  log_trouble.store(false);
}

int MirrorSet::clear_errors(int leg) {
  Impl& self = *impl_;
  uint64_t wanted = 0;
  {
    MutexLock lock(self.state_mutex);
    if (leg >= static_cast<int>(self.legs.size()) || leg < -1) return -EINVAL;
    for (unsigned index = 0; index < self.legs.size(); index++) {
      if (leg >= 0 && static_cast<unsigned>(leg) != index) continue;
      self.legs[index]->errors = LegErrors{};
      self.legs[index]->error_kinds = 0;
      self.legs[index]->counters.repaired_reads = 0;
      self.legs[index]->read_errors.clear();
    }
    self.set_failed_told.store(false);
    self.changed();
    wanted = self.generation;
  }
  return self.read_only ? 0 : self.persist(wanted);
}

int MirrorSet::set_sync_limits(bool paused, uint64_t speed_min, uint64_t speed_max) {
  Impl& self = *impl_;
  uint64_t wanted = 0;
  {
    MutexLock lock(self.state_mutex);
    self.record.paused = paused;
    self.record.limits_set = true;
    self.record.speed_min = speed_min;
    self.record.speed_max = speed_max;
    self.changed();
    wanted = self.generation;
  }
  return self.read_only ? 0 : self.persist(wanted);
}

}  // namespace dmiofs
