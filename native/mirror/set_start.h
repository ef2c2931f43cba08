// Whether a set can start as it is given, and which legs it may trust then: what the record says, checked against
// the devices that are there.
//
// Which entry of the record a leg is: mirror/leg_match.h. A leg is trusted when the newest record says that it was
// in-sync (or rebuilding) and the device is the recorded one, at the recorded place. One that left stays out until
// it is re-added or replaced, whatever its device holds; nothing is guessed (docs/mirror.md, K1 and K5).
//
// THREAD SAFETY: pure functions.
#pragma once

#include <vector>

#include "base/result.h"
#include "mirror/mirror_set.h"

namespace dmiofs {

struct StartPlan {
  std::vector<LegRecord> legs;  // as the set starts with them: states, errors, who they are
  // What is dirty in the log is not in sync: the stop was unclean, or a leg was being rebuilt.
  bool sync_dirty = false;
  std::vector<unsigned> not_trusted;  // legs that were good by the record and are not now
};

// Whether a set can be so, whatever its record says; `block`: the largest logical block of its devices. Error: EINVAL.
Status check_shape(const MirrorSetOptions& options, uint32_t block);

// The set's legs by `record`. Errors: EINVAL, the record is of a set of another shape; ENXIO, too few legs
// are trusted for `options.start`.
Result<StartPlan> plan_start(const MirrorSetOptions& options, const SetRecord& record);

// A record for a new set: the legs as given in `options`, with the devices they have.
SetRecord make_record(const MirrorSetOptions& options);

}  // namespace dmiofs
