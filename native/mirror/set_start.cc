#include "mirror/set_start.h"

#include <bit>
#include <cerrno>

#include "mirror/leg_match.h"

namespace dmiofs {
namespace {

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

Error too_few(const MirrorSetOptions& options, const SetRecord& record, const std::vector<int>& entries,
              unsigned trusted, unsigned needed) {
  std::string reasons;
  for (unsigned index = 0; index < options.legs.size(); index++) {
    const std::string reason =
        entries[index] < 0 ? "is not in the record"
                           : why_not(options.legs[index], record.legs[static_cast<size_t>(entries[index])]);
    if (reason != "in-sync")
      reasons += "leg " + std::to_string(index) + " (" + options.legs[index].device + ") " + reason + "; ";
  }
  std::string what = options.legs.size() == record.legs.size() && is_other_order(options, record)
                         ? "the record has these legs in another order: restore it in the config"
                     : trusted > 0
                         ? "bring a leg back, or set `start: any`"
                         : "bring the device of the last in-sync leg back; no other one may be trusted";
  return Error{ENXIO, "start set", options.name,
               reasons + std::to_string(trusted) + " of " + std::to_string(needed) +
                   " needed legs are in-sync; " + what};
}

// A leg that the record does not know: nothing on it is trusted.
LegRecord new_leg(const MirrorSetOptions& options, const LegOptions& given, uint64_t generation) {
  LegRecord leg;
  leg.sector = given.sector;
  leg.count = options.count;
  leg.state = given.bdev == nullptr ? LegState::kMissing : LegState::kFailed;
  leg.replaces = given.replaces;
  leg.left_generation = generation;
  return leg;
}

}  // namespace

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

Result<StartPlan> plan_start(const MirrorSetOptions& options, const SetRecord& record) {
  const auto other_shape = [&options](const std::string& what, uint64_t recorded, uint64_t given) {
    return Error{EINVAL, "start set", options.name,
                 "its log was made for " + std::to_string(recorded) + " " + what + ", the config says " +
                     std::to_string(given)};
  };
  if (record.count != options.count) return other_shape("sectors", record.count, options.count);
  if (record.sync_region_sectors != options.sync_region_sectors) {
    return other_shape("sectors a sync region", record.sync_region_sectors, options.sync_region_sectors);
  }
  StartPlan plan;
  plan.sync_dirty = !record.clean || options.log_distrusted;
  ErrorBits trusted_places = 0;
  unsigned places = 0;
  const std::vector<int> entries = match_legs(options.legs, record.legs);
  for (unsigned index = 0; index < options.legs.size(); index++) {
    const LegOptions& given = options.legs[index];
    if (given.replaces < 0) places++;
    if (entries[index] < 0) {
      plan.legs.push_back(new_leg(options, given, record.generation + 1));
      plan.not_trusted.push_back(index);
      continue;
    }
    const LegRecord& recorded = record.legs[static_cast<size_t>(entries[index])];
    LegRecord leg = recorded;
    leg.replaces = given.replaces;
    leg.state = start_state(given, recorded);
    const bool was_good = recorded.state == LegState::kInSync || recorded.state == LegState::kRebuilding;
    // A replacement that is in-sync holds what the leg in its place does.
    if (leg.state == LegState::kInSync)
      trusted_places |= error_bit(given.replaces < 0 ? index : static_cast<unsigned>(given.replaces));
    if (leg.state == LegState::kRebuilding) plan.sync_dirty = true;
    if (was_good && leg.state != recorded.state) {
      leg.left_generation = record.generation + 1;
      plan.not_trusted.push_back(index);
    }
    // What a leg that was out has missed is not known: it comes back by a whole copy.
    if (options.log_distrusted && leg.state != LegState::kInSync) leg.identity = DeviceIdentity{};
    plan.legs.push_back(std::move(leg));
  }
  const auto trusted = static_cast<unsigned>(std::popcount(trusted_places));
  const unsigned needed = options.start == StartPolicy::kAny        ? 1
                          : options.start == StartPolicy::kMajority ? places / 2 + 1
                                                                    : places;
  if (trusted < needed) return too_few(options, record, entries, trusted, needed);
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
    leg.replaces = given.replaces;
    record.legs.push_back(std::move(leg));
  }
  return record;
}

}  // namespace dmiofs
