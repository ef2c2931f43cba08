// What a set tells of itself at one moment.
#include "mirror/mirror_set.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {
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

}  // namespace dmiofs
