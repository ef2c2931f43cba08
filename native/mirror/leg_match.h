// Which entry of the record each leg of the config is, when the set starts.
//
//     the config has                              taken from the record
//     ------------------------------------------  --------------------------------------------------------------
//     the legs of the record, by number           entry by entry, whatever device is there: a device in another
//       and replacements                            leg's place is not trusted (mirror/set_start.h)
//     fewer or more legs, or another replacement  by the device's identity and start sector: a leg was added,
//                                                   removed or replaced, and the program ended between the config
//                                                   and the record; or someone edited the config
//     a leg that no entry is of                   nothing: it is not trusted, all is copied when it is re-added
//     a leg that is missing                       the entry of its number, if no other leg's: it is not trusted
//                                                   either
//
// An entry of a leg that the config has no longer is dropped: every in-sync leg that is left holds all that was
// acknowledged.
//
// THREAD SAFETY: pure functions.
#pragma once

#include <vector>

#include "mirror/mirror_set.h"

namespace dmiofs {

// The device that is there is the recorded one, at the recorded place.
bool at_recorded_place(const LegOptions& given, const LegRecord& recorded);

// For each given leg the index of its entry, -1: none. No entry twice.
std::vector<int> match_legs(const std::vector<LegOptions>& given, const std::vector<LegRecord>& recorded);

}  // namespace dmiofs
