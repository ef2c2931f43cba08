#include "mirror/set_start.h"

#include <cerrno>

namespace dmiofs {
namespace {

bool at_recorded_place(const LegOptions& given, const LegRecord& recorded) {
  return record_identity(given.bdev->info().identity) == recorded.identity && given.sector == recorded.sector;
}

LegState start_state(const LegOptions& given, const LegRecord& recorded) {
  if (given.bdev == nullptr) return LegState::kMissing;
  if (!at_recorded_place(given, recorded)) return LegState::kFailed;
  return recorded.state == LegState::kMissing ? LegState::kFailed : recorded.state;
}

std::string why_not(const LegOptions& given, const LegRecord& recorded) {
  if (given.bdev == nullptr) return "cannot be opened";
  if (given.sector != recorded.sector)
    return "starts at sector " + std::to_string(recorded.sector) + " by the record";
  if (!at_recorded_place(given, recorded)) return "is not the recorded device";
  switch (recorded.state) {
    case LegState::kInSync: break;
    case LegState::kRebuilding: return "was being rebuilt";
    case LegState::kFailed:
    case LegState::kMissing: return "left the set at generation " + std::to_string(recorded.left_generation);
  }
  return "in-sync";
}

// The legs are all there, in another order: what then has to be done is to put them in order, not to copy
// anything.
bool is_other_order(const MirrorSetOptions& options, const SetRecord& record) {
  for (const LegOptions& given : options.legs) {
    bool known = false;
    for (const LegRecord& recorded : record.legs)
      known = known || (given.bdev != nullptr && at_recorded_place(given, recorded));
    if (!known) return false;
  }
  return true;
}

Error too_few(const MirrorSetOptions& options, const SetRecord& record, unsigned trusted, unsigned needed) {
  std::string reasons;
  for (unsigned index = 0; index < options.legs.size(); index++) {
    const std::string reason = why_not(options.legs[index], record.legs[index]);
    if (reason != "in-sync")
      reasons += "leg " + std::to_string(index) + " (" + options.legs[index].device + ") " + reason + "; ";
  }
  std::string what =
      is_other_order(options, record) ? "the record has these legs in another order: restore it in the config"
      : trusted > 0                   ? "bring a leg back, or set `start: any`"
                    : "bring the device of the last in-sync leg back; no other one may be trusted";
  return Error{ENXIO, "start set", options.name,
               reasons + std::to_string(trusted) + " of " + std::to_string(needed) +
                   " needed legs are in-sync; " + what};
}

}  // namespace

Result<StartPlan> plan_start(const MirrorSetOptions& options, const SetRecord& record) {
  const auto other_shape = [&options](const std::string& what, uint64_t recorded, uint64_t given) {
    return Error{EINVAL, "start set", options.name,
                 "its log was made for " + std::to_string(recorded) + " " + what + ", the config says " +
                     std::to_string(given)};
  };
  if (record.legs.size() != options.legs.size())
    return other_shape("legs", record.legs.size(), options.legs.size());
  if (record.count != options.count) return other_shape("sectors", record.count, options.count);
  if (record.sync_region_sectors != options.sync_region_sectors) {
    return other_shape("sectors a sync region", record.sync_region_sectors, options.sync_region_sectors);
  }
  StartPlan plan;
  plan.sync_dirty = !record.clean || options.log_distrusted;
  unsigned trusted = 0;
  for (unsigned index = 0; index < options.legs.size(); index++) {
    LegRecord leg = record.legs[index];
    leg.state = start_state(options.legs[index], record.legs[index]);
    const bool was_good =
        record.legs[index].state == LegState::kInSync || record.legs[index].state == LegState::kRebuilding;
    if (leg.state == LegState::kInSync) trusted++;
    if (leg.state == LegState::kRebuilding) plan.sync_dirty = true;
    if (was_good && leg.state != record.legs[index].state) {
      leg.left_generation = record.generation + 1;
      plan.not_trusted.push_back(index);
    }
    // What a leg that was out has missed is not known: it comes back by a whole copy.
    if (options.log_distrusted && leg.state != LegState::kInSync) leg.identity = DeviceIdentity{};
    plan.legs.push_back(std::move(leg));
  }
  const auto all = static_cast<unsigned>(options.legs.size());
  const unsigned needed = options.start == StartPolicy::kAny        ? 1
                          : options.start == StartPolicy::kMajority ? all / 2 + 1
                                                                    : all;
  if (trusted < needed) return too_few(options, record, trusted, needed);
  return plan;
}

SetRecord make_record(const MirrorSetOptions& options) {
  SetRecord record;
  record.count = options.count;
  record.sync_region_sectors = options.sync_region_sectors;
  record.clean = true;
  for (const LegOptions& given : options.legs) {
    LegRecord leg;
    if (given.bdev != nullptr) leg.identity = record_identity(given.bdev->info().identity);
    leg.sector = given.sector;
    leg.count = options.count;
    leg.state = given.bdev == nullptr ? LegState::kMissing : given.state;
    record.legs.push_back(std::move(leg));
  }
  return record;
}

}  // namespace dmiofs
