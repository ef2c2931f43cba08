// LegStatistics: what one leg has done for users of the set: how many operations, how many bytes, how long
// each took.
//
// Recorded on the data path where a dm-io request to the leg has ended; added up when somebody asks. Threads
// count in shards of their own, so that those of many cores do not fight for a cache line.
//
// THREAD SAFETY: thread-safe, relaxed atomics; a total taken while operations end may have some of one that is
// being recorded. OWNERSHIP: the leg's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace dmiofs {

enum class LegOp : uint8_t { kRead, kWrite, kFlush, kZero };
inline constexpr unsigned kLegOps = 4;

// Bucket k holds what took at most kFirstLatencyBound * 2^k, and more than bucket k - 1's bound; the last one
// has no bound: it begins at 33.6 s.
inline constexpr unsigned kLatencyBuckets = 24;
inline constexpr nanos_t kFirstLatencyBound = 8000;  // ns

// The bucket of an operation that took `took` nanoseconds.
unsigned latency_bucket(nanos_t took) noexcept;

struct LegOpTotal {
  uint64_t bytes = 0;
  uint64_t nanos = 0;  // sum of what each took
  std::array<uint64_t, kLatencyBuckets> buckets{};

  uint64_t count() const;  // of operations
};
using LegTotals = std::array<LegOpTotal, kLegOps>;

class LegStatistics {
 public:
  // An operation has ended, well or not; one that was given up counts with the time until then.
  void record(LegOp op, uint64_t bytes, nanos_t took) noexcept;
  LegTotals totals() const noexcept;

 private:
  struct Counters {
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> nanos{0};
    std::array<std::atomic<uint64_t>, kLatencyBuckets> buckets{};
  };
  struct alignas(64) Shard {
    std::array<Counters, kLegOps> ops;
  };
  static constexpr unsigned kShards = 4;
  std::array<Shard, kShards> shards_;
};

}  // namespace dmiofs
