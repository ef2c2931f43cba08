// Which leg a read goes to.
#include <bit>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr uint64_t kProbeEvery =
    64;  // reads; `fastest` then tries another leg, so that one that has become fast is found

// The n-th (from 0) of the legs in `bits`; n is less than their number.
unsigned nth_leg(ErrorBits bits, uint64_t n) {
  while (n-- > 0) bits &= bits - 1;
  return lowest_index(bits);
}

}  // namespace

// The leg that the next try goes to; kNoLeg: none is left.
unsigned MirrorSet::Impl::choose_leg(const LegView& seen, uint64_t offset, size_t length, ErrorBits tried) {
  const uint64_t first = regions->of(offset);
  const uint64_t last = regions->of(offset + length - 1);
  if (regions->any_may_differ(first, last)) {
    // Every in-sync leg holds what was acknowledged, but only the source gives the same answer twice for what
    // was not.
    const ErrorBits left = seen.in_sync & ~tried;
    if ((left & error_bit(seen.source)) != 0) return seen.source;
    return left == 0 ? kNoLeg : lowest_index(left);
  }
  // A rebuilding leg holds it too where it was copied.
  const ErrorBits left = (regions->all_in_sync(first, last) ? seen.active : seen.in_sync) & ~tried;
  if (left == 0) return kNoLeg;
  const auto many = static_cast<unsigned>(std::popcount(left));
  switch (read_policy) {
    case ReadPolicy::kPrimary: break;
    case ReadPolicy::kRoundRobin:
      return nth_leg(left, read_turn.fetch_add(1, std::memory_order_relaxed) % many);
    case ReadPolicy::kFastest: {
      const uint64_t turn = read_turn.fetch_add(1, std::memory_order_relaxed);
      if (turn % kProbeEvery == 0) return nth_leg(left, turn / kProbeEvery % many);
      auto best = lowest_index(left);
      for (ErrorBits rest = left; rest != 0; rest &= rest - 1) {
        const auto index = lowest_index(rest);
        if (legs[index]->counters.latency.load(std::memory_order_relaxed) <
            legs[best]->counters.latency.load(std::memory_order_relaxed)) {
          best = index;
        }
      }
      return best;
    }
  }
  const ErrorBits good = left & seen.in_sync;
  if ((good & error_bit(seen.source)) != 0) return seen.source;
  return lowest_index(good != 0 ? good : left);
}

}  // namespace dmiofs
