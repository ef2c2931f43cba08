#include "mirror/mirror_set.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {

MirrorSet::MirrorSet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MirrorSet::~MirrorSet() { stop(); }

Result<std::shared_ptr<MirrorSet>> MirrorSet::create(DmIo& dm_io, MirrorSetOptions options) {
  if (options.legs.empty() || options.legs.size() > kMaxIoRegions) {
    return Error{EINVAL, "open set", options.name, "a mirror set has 1 to 64 legs"};
  }
  auto impl = std::make_unique<Impl>(dm_io);
  impl->name = options.name;
  impl->count = options.count;
  impl->size = bytes_of(options.count);
  impl->read_policy = options.read_policy;
  impl->io_timeout = options.io_timeout;
  impl->read_only = options.read_only;
  impl->sync_region_sectors = options.sync_region_sectors;
  impl->clean_after = options.clean_after;
  impl->on_event = std::move(options.on_event);
  impl->log = std::move(options.log);
  impl->record_store = std::move(options.record_store);
  for (const LegOptions& leg : options.legs) {
    if (leg.bdev != nullptr) impl->block = std::max(impl->block, leg.bdev->info().logical_block_size);
  }
  if (!is_aligned(impl->size, impl->block)) {
    return Error{
        EINVAL, "open set", options.name,
        "its size is not a multiple of " + std::to_string(impl->block) + " bytes, a leg's logical block"};
  }
  auto regions = SyncRegions::create(impl->size, bytes_of(options.sync_region_sectors), impl->log.get());
  if (!regions.ok()) return regions.error();
  impl->regions = regions.take();
  for (const uint64_t at : options.dirty_at_start) {
    impl->regions->set_dirty_in_memory(at);
    if (options.sync_dirty_at_start) impl->regions->set_in_sync(at, false);
  }
  {
    MutexLock lock(impl->state_mutex);
    impl->record = std::move(options.record);
    impl->record.legs.resize(options.legs.size());
    impl->record.clean = false;
    for (LegOptions& given : options.legs) {
      auto leg = std::make_unique<Leg>();
      leg->device = given.device;
      leg->sector = given.sector;
      leg->state = given.bdev == nullptr ? LegState::kMissing : given.state;
      leg->errors = given.errors;
      leg->error_kinds = given.error_kinds;
      leg->left_generation = given.left_generation;
      leg->uuid = given.uuid;
      impl->legs.push_back(std::move(leg));
      impl->where.push_back(IoRegion{std::move(given.bdev), given.sector, options.count});
    }
    impl->view.state_generation = impl->record.generation;
    impl->recompute_view();
    for (auto& leg : impl->legs) {
      if (leg->state != LegState::kInSync && leg->left_generation == 0)
        leg->left_generation = impl->view.state_generation;
    }
    if (impl->view.in_sync == 0) {
      return Error{ENXIO, "open set", options.name, "no in-sync leg can be opened"};
    }
  }
  std::shared_ptr<MirrorSet> set(new MirrorSet(std::move(impl)));
  Impl& self = *set->impl_;
  // "In use" is on stable storage before the first write: a start that finds it knows that the stop was
  // unclean.
  if (!self.read_only) {
    if (const int err = self.persist(self.current_view().state_generation);
        err != 0 && self.record_store != nullptr) {
      return Error{-err, "write the record of set", self.name, "its log cannot be written"};
    }
    self.cleaner = std::thread([&self] { self.clean_idle(); });
  }
  return set;
}

uint64_t MirrorSet::size_bytes() const { return impl_->size; }
uint32_t MirrorSet::block_size() const { return impl_->block; }

namespace {

char health_of(const Leg& leg) {
  const auto has = [&leg](LegErrorKind kind) {
    return (leg.error_kinds >> static_cast<unsigned>(kind) & 1) != 0;
  };
  if (has(LegErrorKind::kFlush)) return 'F';
  if (has(LegErrorKind::kWrite)) return 'D';
  if (has(LegErrorKind::kSync)) return 'S';
  if (has(LegErrorKind::kRead)) return 'R';
  switch (leg.state) {
    case LegState::kInSync: return 'A';
    case LegState::kRebuilding: return 'a';
    case LegState::kFailed: return 'D';
    case LegState::kMissing: return 'U';
  }
  return 'U';
}

}  // namespace

SetInfo MirrorSet::snapshot() const {
  const Impl& self = *impl_;
  SetInfo info;
  info.name = self.name;
  info.count = self.count;
  info.block_size = self.block;
  info.read_only = self.read_only;
  info.sync_region_sectors = self.sync_region_sectors;
  info.sync_regions = self.regions->count();
  info.in_sync_regions = self.regions->in_sync_count();
  info.dirty_sync_regions = self.regions->dirty_count();
  info.late_ios = self.dm_io.late_buffers();
  MutexLock lock(self.state_mutex);
  info.generation = self.view.state_generation;
  info.log_failed = self.log_failed;
  info.paused = self.record.paused;
  info.speed_min = self.record.speed_min;
  info.speed_max = self.record.speed_max;
  info.read_leg = self.view.in_sync == 0 ? -1 : static_cast<int>(self.view.source);
  info.state = self.view.in_sync == 0                 ? SetState::kFailed
               : self.view.in_sync == self.all_legs() ? SetState::kComplete
                                                      : SetState::kDegraded;
  for (unsigned index = 0; index < self.legs.size(); index++) {
    const Leg& leg = *self.legs[index];
    LegInfo out;
    out.device = leg.device;
    out.sector = leg.sector;
    out.count = self.count;
    out.state = leg.state;
    out.health = health_of(leg);
    out.errors = leg.errors;
    if (self.where[index].bdev != nullptr) out.identity = self.where[index].bdev->info().identity;
    out.reads = leg.counters.reads;
    out.writes = leg.counters.writes;
    out.flushes = leg.counters.flushes;
    out.read_bytes = leg.counters.read_bytes;
    out.write_bytes = leg.counters.write_bytes;
    out.repaired_reads = leg.counters.repaired_reads;
    const auto has = [&leg](LegErrorKind kind) {
      return (leg.error_kinds >> static_cast<unsigned>(kind) & 1) != 0;
    };
    if (has(LegErrorKind::kRead)) info.read_bits |= error_bit(index);
    if (has(LegErrorKind::kWrite) || has(LegErrorKind::kSync)) info.write_bits |= error_bit(index);
    if (has(LegErrorKind::kFlush)) info.flush_bits |= error_bit(index);
    info.legs.push_back(std::move(out));
  }
  return info;
}

void MirrorSet::stop() {
  Impl& self = *impl_;
  {
    MutexLock lock(self.gate_mutex);
    if (self.stopped) return;
    self.closed = true;
    while (self.inside > 0) self.gate_changed.wait(self.gate_mutex);
    if (self.stopped) return;
    self.stopped = true;
    self.gate_changed.notify_all();
  }
  if (self.cleaner.joinable()) self.cleaner.join();
  if (self.read_only) return;
  const bool flushed = self.flush_legs(LegErrorKind::kFlush) == 0;
  if (flushed && self.current_view().active == self.all_legs()) {
    for (;;) {
      const std::vector<uint64_t> flagged = self.regions->start_cleaning(now_nanos(), 65536);
      if (flagged.empty()) break;
      if (self.regions->finish_cleaning(flagged, true) != 0) break;
    }
  }
  uint64_t generation = 0;
  {
    MutexLock lock(self.state_mutex);
    // Legs out of the set do not make the stop unclean; legs in it that could not be flushed do.
    self.record.clean = flushed && self.regions->in_sync_count() == self.regions->count();
    generation = ++self.view.state_generation;
  }
  self.persist(generation);
  MutexLock lock(self.state_mutex);
  for (IoRegion& region : self.where) region.bdev.reset();
}

}  // namespace dmiofs
