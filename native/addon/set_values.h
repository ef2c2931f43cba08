// What a mirror set tells of itself, as JavaScript objects: the interfaces of src/native/set-snapshot.ts and comparison.ts.
//
// THREAD SAFETY: the environment's thread.
#pragma once

#include <napi.h>

#include <vector>

#include "mirror/mirror_set.h"

namespace dmiofs {

Napi::Object snapshot_object(Napi::Env env, const SetInfo& info);                   // SetSnapshot
Napi::Array statistics_array(Napi::Env env, const std::vector<LegTotals>& totals);  // LegTotals[]
Napi::Object sync_map_object(Napi::Env env, const SyncMap& map);                    // SyncMap
// RegionComparison; `outcome`: of MirrorSet::compare_sync_region.
Napi::Object comparison_object(Napi::Env env, int outcome, const Comparison& found);

}  // namespace dmiofs
