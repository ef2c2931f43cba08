// ReadErrorLimit: how many read errors a leg may have, though each was repaired, before it leaves (md: max_read_errors).
//
// A leg's errors count less with time, half of them after an hour: a few bad sectors a month are the life of a
// disk, many in an hour its end.
//
// THREAD SAFETY: none; guarded by the set's state mutex. OWNERSHIP: a value, one a leg.
#pragma once

#include "base/clock.h"

namespace dmiofs {

class ReadErrorLimit {
 public:
  static constexpr nanos_t kHalfLife = 3600 * kNanosPerSecond;

  // One more error at `now`; true when there are more than `limit` now. A limit of 0 is none.
  bool add(nanos_t now, unsigned limit);
  double errors(nanos_t now) const;
  void clear() { errors_ = 0; }

 private:
  double errors_ = 0;  // at since_
  nanos_t since_ = 0;
};

}  // namespace dmiofs
