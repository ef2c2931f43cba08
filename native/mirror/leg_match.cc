#include "mirror/leg_match.h"

#include <numeric>

namespace dmiofs {

bool at_recorded_place(const LegOptions& given, const LegRecord& recorded) {
  return given.bdev != nullptr && record_identity(given.bdev->info().identity) == recorded.identity &&
         given.sector == recorded.sector;
}

std::vector<int> match_legs(const std::vector<LegOptions>& given, const std::vector<LegRecord>& recorded) {
  std::vector<int> matched(given.size(), -1);
  bool same = given.size() == recorded.size();
  for (size_t i = 0; same && i < given.size(); i++) same = given[i].replaces == recorded[i].replaces;
  if (same) {
    std::iota(matched.begin(), matched.end(), 0);
    return matched;
  }
  std::vector<bool> taken(recorded.size(), false);
  for (size_t i = 0; i < given.size(); i++) {
    for (size_t entry = 0; entry < recorded.size() && matched[i] < 0; entry++) {
      if (taken[entry] || !at_recorded_place(given[i], recorded[entry])) continue;
      matched[i] = static_cast<int>(entry);
      taken[entry] = true;
    }
  }
  for (size_t i = 0; i < given.size() && i < recorded.size(); i++) {
    if (given[i].bdev == nullptr && !taken[i]) {
      matched[i] = static_cast<int>(i);
      taken[i] = true;
    }
  }
  return matched;
}

}  // namespace dmiofs
