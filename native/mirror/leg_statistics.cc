#include "mirror/leg_statistics.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace dmiofs {
namespace {

// Threads in the order in which they first record.
unsigned thread_number() noexcept {
  static std::atomic<unsigned> next{0};
  thread_local const unsigned mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

unsigned latency_bucket(nanos_t took) noexcept {
  if (took <= kFirstLatencyBound) return 0;
  // The smallest k with took <= first * 2^k.
  const auto units = static_cast<uint64_t>(took - 1) / kFirstLatencyBound;
  return std::min<unsigned>(static_cast<unsigned>(std::bit_width(units)), kLatencyBuckets - 1);
}

uint64_t LegOpTotal::count() const { return std::accumulate(buckets.begin(), buckets.end(), uint64_t{0}); }

void LegStatistics::record(LegOp op, uint64_t bytes, nanos_t took) noexcept {
  Counters& counters = shards_[thread_number() % kShards].ops[static_cast<unsigned>(op)];
  counters.buckets[latency_bucket(took)].fetch_add(1, std::memory_order_relaxed);
  counters.nanos.fetch_add(static_cast<uint64_t>(std::max<nanos_t>(took, 0)), std::memory_order_relaxed);
  if (bytes != 0) counters.bytes.fetch_add(bytes, std::memory_order_relaxed);
}

LegTotals LegStatistics::totals() const noexcept {
  LegTotals sum;
  for (const Shard& shard : shards_) {
    for (unsigned op = 0; op < kLegOps; op++) {
      const Counters& from = shard.ops[op];
      sum[op].bytes += from.bytes.load(std::memory_order_relaxed);
      sum[op].nanos += from.nanos.load(std::memory_order_relaxed);
      for (unsigned k = 0; k < kLatencyBuckets; k++)
        sum[op].buckets[k] += from.buckets[k].load(std::memory_order_relaxed);
    }
  }
  return sum;
}

}  // namespace dmiofs
