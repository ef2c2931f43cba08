#include "base/stage_times.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace dmiofs {
namespace {

// Eight buckets to each power of two; the first are 1 ns wide, the last is everything from about 17 s.
constexpr unsigned kSteps = 8;
constexpr unsigned kBuckets = 256;

unsigned bucket_of(uint64_t nanos) {
  if (nanos < kSteps) return static_cast<unsigned>(nanos);
  const auto power = static_cast<unsigned>(std::bit_width(nanos)) - 4;  // nanos >> power is 8..15
  return std::min(kBuckets - 1, (power + 1) * kSteps + static_cast<unsigned>((nanos >> power) - kSteps));
}

// The largest time that falls into it.
uint64_t top_of(unsigned bucket) {
  if (bucket < kSteps) return bucket;
  const unsigned power = bucket / kSteps - 1;
  return ((uint64_t{bucket % kSteps} + kSteps + 1) << power) - 1;
}

struct Histogram {
  std::array<std::atomic<uint64_t>, kBuckets> buckets{};
  std::atomic<uint64_t> total{0}, max{0};

  void add(nanos_t time) {
    const auto nanos = static_cast<uint64_t>(std::max<nanos_t>(time, 0));
    buckets[bucket_of(nanos)].fetch_add(1, std::memory_order_relaxed);
    total.fetch_add(nanos, std::memory_order_relaxed);
    uint64_t most = max.load(std::memory_order_relaxed);
    while (most < nanos && !max.compare_exchange_weak(most, nanos, std::memory_order_relaxed)) {
    }
  }

  StageSummary summary() const {
    StageSummary out;
    std::array<uint64_t, kBuckets> seen;
    for (unsigned i = 0; i < kBuckets; i++) {
      seen[i] = buckets[i].load(std::memory_order_relaxed);
      out.count += seen[i];
    }
    out.total = total.load(std::memory_order_relaxed);
    out.max = max.load(std::memory_order_relaxed);
    const auto at_least = [&](uint64_t percent) {
      const uint64_t wanted = (out.count * percent + 99) / 100;
      uint64_t below = 0;
      for (unsigned i = 0; i < kBuckets; i++) {
        below += seen[i];
        if (below >= wanted) return std::min(top_of(i), out.max);
      }
      return out.max;
    };
    if (out.count > 0) {
      out.p50 = at_least(50);
      out.p99 = at_least(99);
    }
    return out;
  }
};

Histogram g_stages[kTimedOps][kStages];
Histogram g_whole[kTimedOps];

struct Timed {
  bool under_way = false;
  TimedOp op = TimedOp::kRead;
  nanos_t started = 0;
  nanos_t last = 0;
};
thread_local Timed t_timed;

}  // namespace

std::atomic<bool> StageTimes::on_{false};

const char* to_string(Stage stage) {
  switch (stage) {
    case Stage::kRangeLocked: return "range-locked";
    case Stage::kDirtyMarked: return "dirty-marked";
    case Stage::kSubmitted: return "submitted";
    case Stage::kCompleted: return "completed";
    case Stage::kAnswered: return "answered";
  }
  return "?";
}

const char* to_string(TimedOp op) {
  switch (op) {
    case TimedOp::kRead: return "read";
    case TimedOp::kWrite: return "write";
    case TimedOp::kFlush: return "flush";
  }
  return "?";
}

void StageTimes::begin_now(TimedOp op) {
  t_timed.under_way = true;
  t_timed.op = op;
  t_timed.started = t_timed.last = now_nanos();
}

void StageTimes::pass_now(Stage stage) {
  if (!t_timed.under_way) return;
  const nanos_t now = now_nanos();
  g_stages[static_cast<unsigned>(t_timed.op)][static_cast<unsigned>(stage)].add(now - t_timed.last);
  t_timed.last = now;
}

void StageTimes::end_now() {
  if (!t_timed.under_way) return;
  pass_now(Stage::kAnswered);
  g_whole[static_cast<unsigned>(t_timed.op)].add(t_timed.last - t_timed.started);
  t_timed.under_way = false;
}

bool StageTimes::set_under_way(bool under_way) { return std::exchange(t_timed.under_way, under_way); }

StageSummary StageTimes::of(TimedOp op, Stage stage) {
  return g_stages[static_cast<unsigned>(op)][static_cast<unsigned>(stage)].summary();
}

StageSummary StageTimes::whole(TimedOp op) { return g_whole[static_cast<unsigned>(op)].summary(); }

}  // namespace dmiofs
