// SyncMap: the states of a set's sync regions, for a picture: neighbours share a cell, which shows the worst of
// them.
//
// A value; taken while writes go on it is of no single moment.
#pragma once

#include <cstdint>
#include <vector>

namespace dmiofs {

// From the best to the worst.
enum class SyncCell : uint8_t { kClean, kDirty, kNotInSync };

struct SyncMap {
  uint64_t sync_regions = 0;  // of the set
  uint64_t per_cell = 1;      // sync regions in each cell; the last cell may have fewer
  std::vector<SyncCell> cells;
};

}  // namespace dmiofs
