#include "mirror/mirror_set.h"

#include <algorithm>
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
    tell(SetEventKind::kDegradedAtStart, static_cast<int>(lowest_index(left)));
  if (regions->in_sync_count() != regions->count()) {
    tell(SetEventKind::kSyncNeeded);
  } else if (!read_only) {
    finish_rebuild();  // of a leg that was copied but for its record
  }
}

uint64_t MirrorSet::size_bytes() const { return impl_->size; }
uint32_t MirrorSet::block_size() const { return impl_->block; }

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
