#include "mirror/mirror_set.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"
#include "mirror/set_start.h"

namespace dmiofs {
namespace {

constexpr size_t kCleanAtStop = 65536;  // sync regions a batch

}  // namespace

MirrorSet::MirrorSet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MirrorSet::~MirrorSet() { stop(); }

namespace {

// What no set can have, whatever its record says.
Status check_shape(const MirrorSetOptions& options, uint32_t block) {
  const auto refuse = [&options](const std::string& hint) {
    return Error{EINVAL, "open set", options.name, hint};
  };
  if (options.legs.empty() || options.legs.size() > kMaxIoRegions)
    return refuse("a mirror set has 1 to 64 legs");
  if (options.count == 0) return refuse("it has no sectors");
  for (const LegOptions& leg : options.legs) {
    if (leg.replaces >= 0 && (static_cast<size_t>(leg.replaces) >= options.legs.size() ||
                              options.legs[static_cast<size_t>(leg.replaces)].replaces >= 0)) {
      return refuse(leg.device + " replaces a leg that there is not");
    }
  }
  const std::string unit = std::to_string(block) + " bytes, a leg's logical block";
  if (!is_aligned(bytes_of(options.count), block)) return refuse("its size is not a multiple of " + unit);
  if (!std::has_single_bit(options.sync_region_sectors) || bytes_of(options.sync_region_sectors) < block) {
    return refuse("the sync region size is not a power of two of at least " + unit);
  }
  for (const LegOptions& leg : options.legs) {
    if (leg.bdev == nullptr) continue;
    const DeviceInfo& info = leg.bdev->info();
    if (!is_aligned(bytes_of(leg.sector), info.logical_block_size)) {
      return refuse(leg.device + ": sector " + std::to_string(leg.sector) +
                    " is not at a block of the device");
    }
    if (info.size_bytes < bytes_of(options.count) ||
        bytes_of(leg.sector) > info.size_bytes - bytes_of(options.count)) {
      return refuse(leg.device + ": the leg lies beyond the device's end");
    }
    if (!options.read_only && !info.writable) return refuse(leg.device + ": is not open for writing");
  }
  return ok_status();
}

}  // namespace

Result<std::shared_ptr<MirrorSet>> MirrorSet::create(DmIo& dm_io, MirrorSetOptions options) {
  uint32_t block = kSectorSize;
  for (const LegOptions& leg : options.legs) {
    if (leg.bdev != nullptr) block = std::max(block, leg.bdev->info().logical_block_size);
  }
  if (const Status shape = check_shape(options, block); !shape.ok()) return shape.error();
  if (options.record_store != nullptr && !options.record.has_value()) {
    return Error{EINVAL, "start set", options.name, "its log holds no valid record: no leg can be trusted"};
  }
  const SetRecord record = options.record.has_value() ? *options.record : make_record(options);
  auto plan = plan_start(options, record);
  if (!plan.ok()) return plan.error();

  auto impl = std::make_unique<Impl>(dm_io);
  impl->name = options.name;
  impl->count = options.count;
  impl->size = bytes_of(options.count);
  impl->block = block;
  impl->read_policy = options.read_policy;
  impl->io_timeout = options.io_timeout;
  impl->read_error_limit = options.read_error_limit;
  impl->read_only = options.read_only;
  impl->sync_region_sectors = options.sync_region_sectors;
  impl->clean_after = options.clean_after;
  impl->on_event = std::move(options.on_event);
  impl->log = std::move(options.log);
  impl->record_store = std::move(options.record_store);
  auto regions = SyncRegions::create(impl->size, bytes_of(options.sync_region_sectors), impl->log.get());
  if (!regions.ok()) return regions.error();
  impl->regions = regions.take();
  if (impl->log != nullptr) impl->load_log(plan.value().sync_dirty);
  impl->take_up(options.legs, record, plan.value());

  std::shared_ptr<MirrorSet> set(new MirrorSet(std::move(impl)));
  set->impl_->begin(plan.value());
  return set;
}

// What the log says is dirty: to be copied at a leg's return, and with `sync_dirty` now.
void MirrorSet::Impl::load_log(bool sync_dirty) {
  for (uint64_t at = 0; at < regions->count(); at++) {
    if (!log->dirty(at)) continue;
    regions->set_dirty_in_memory(at);
    if (sync_dirty) regions->set_may_differ(at);
  }
}

void MirrorSet::Impl::take_up(const std::vector<LegOptions>& given, const SetRecord& from,
                              const StartPlan& plan) {
  MutexLock lock(state_mutex);
  record = from;
  record.clean = false;
  generation = from.generation + 1;
  durable_generation.store(from.generation);
  legs.reserve(kMaxIoRegions);
  where.reserve(kMaxIoRegions);
  for (unsigned index = 0; index < given.size(); index++) {
    const LegRecord& recorded = plan.legs[index];
    auto leg = std::make_unique<Leg>();
    leg->device = given[index].device;
    leg->sector = given[index].sector;
    leg->state = recorded.state;
    leg->replaces = given[index].replaces;
    leg->errors = recorded.errors;
    leg->error_kinds = recorded.error_kinds;
    leg->left_generation = recorded.left_generation;
    leg->uuid = recorded.uuid;
    leg->identity = recorded.identity;
    legs.push_back(std::move(leg));
    where.push_back(IoRegion{given[index].bdev, given[index].sector, count});
  }
  recompute_view();
  view.left_generation = generation;
  in_use_generation = generation;
}

// "In use" is on stable storage before the first write (start_write); a log that cannot take it now does not
// keep the set from being read.
void MirrorSet::Impl::begin(const StartPlan& plan) {
  if (!read_only) {
    persist(in_use_generation);
    background = std::thread([this] { run_background(); });
  }
  for (const unsigned leg : plan.not_trusted) {
    log_line(LogLevel::kWarn,
             "set " + name + ": leg " + std::to_string(leg) + " (" + legs[leg]->device +
                 ") is not trusted: " +
                 (where[leg].bdev == nullptr ? "it is missing" : "it is not the recorded device") +
                 "; re-add or replace it");
  }
  const ErrorBits out = current_view().all & ~current_view().in_sync;
  for (ErrorBits left = out; left != 0; left &= left - 1)
    tell(SetEventKind::kDegradedAtStart, std::countr_zero(left));
  if (regions->in_sync_count() != regions->count()) {
    tell(SetEventKind::kSyncNeeded);
  } else if (!read_only) {
    finish_rebuild();  // of a leg that was copied but for its record
  }
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
  info.in_flight = static_cast<unsigned>(self.inside.load(std::memory_order_relaxed) & ~Impl::kClosed);
  MutexLock lock(self.state_mutex);
  info.generation = self.generation;
  info.log_failed = self.log_failed || self.record_failed;
  info.paused = self.record.paused;
  info.limits_set = self.record.limits_set;
  info.speed_min = self.record.speed_min;
  info.speed_max = self.record.speed_max;
  info.read_leg = self.view.in_sync == 0 ? -1 : static_cast<int>(self.view.source);
  info.state = self.view.in_sync == 0                         ? SetState::kFailed
               : (self.view.places & ~self.view.in_sync) == 0 ? SetState::kComplete
                                                              : SetState::kDegraded;
  for (unsigned index = 0; index < self.legs.size(); index++) {
    const Leg& leg = *self.legs[index];
    LegInfo out;
    out.device = leg.device;
    out.sector = leg.sector;
    out.count = self.count;
    out.state = leg.state;
    out.replaces = leg.replaces;
    out.health = health_of(leg);
    out.errors = leg.errors;
    if (self.where[index].bdev != nullptr) {
      out.identity = self.where[index].bdev->info().identity;
      out.late_ios = self.where[index].bdev->late_ios();
    }
    const LegTotals totals = leg.counters.statistics.totals();
    const auto of = [&totals](LegOp op) -> const LegOpTotal& { return totals[static_cast<unsigned>(op)]; };
    out.reads = of(LegOp::kRead).count();
    out.writes = of(LegOp::kWrite).count() + of(LegOp::kZero).count();
    out.flushes = of(LegOp::kFlush).count();
    out.read_bytes = of(LegOp::kRead).bytes;
    out.write_bytes = of(LegOp::kWrite).bytes;
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

std::vector<LegTotals> MirrorSet::leg_totals() const {
  const Impl& self = *impl_;
  MutexLock lock(self.state_mutex);
  std::vector<LegTotals> totals;
  totals.reserve(self.legs.size());
  for (const auto& leg : self.legs) totals.push_back(leg->counters.statistics.totals());
  return totals;
}

SyncMap MirrorSet::sync_map(size_t most) const { return impl_->regions->map(most); }

void MirrorSet::stop() {
  Impl& self = *impl_;
  self.inside.fetch_or(Impl::kClosed);
  {
    MutexLock lock(self.gate_mutex);
    if (self.stopping) {
      while (!self.stopped) self.gate_changed.wait(self.gate_mutex);
      return;
    }
    self.stopping = true;
  }
  if (self.background.joinable()) {
    {
      MutexLock lock(self.background_mutex);
      self.background_stop = true;
      self.background_wake.notify_all();
    }
    self.background.join();
  }
  {
    MutexLock lock(self.gate_mutex);
    while (self.inside.load() != Impl::kClosed) self.gate_changed.wait(self.gate_mutex);
  }
  if (!self.read_only) self.come_to_rest();
  {
    MutexLock lock(self.state_mutex);
    for (IoRegion& region : self.where) region.bdev.reset();
    self.retired.clear();
  }
  MutexLock lock(self.gate_mutex);
  self.stopped = true;
  self.gate_changed.notify_all();
}

// The last flush, cleaning and record of a set that no I/O runs on any more.
void MirrorSet::Impl::come_to_rest() {
  const bool flushed = flush_legs(LegErrorKind::kFlush) == 0;
  if (flushed) {
    while (clean_batch(0, kCleanAtStop)) {
    }
  }
  {
    MutexLock lock(state_mutex);
    bool late = false;
    for (unsigned index = 0; index < legs.size(); index++) {
      late = late || ((view.active & error_bit(index)) != 0 && where[index].bdev->late_ios() > 0);
    }
    // Legs out of the set do not make the stop unclean; legs in it that could not be flushed, or may differ,
    // do.
    record.clean = flushed && !late && regions->in_sync_count() == regions->count();
    changed();
  }
  persist(current_generation());
}

}  // namespace dmiofs
