// StageTimes: how long each stage of a request takes, as a histogram; for who asks where the time goes.
//
//     received --> range locked --> dirty marked --> submitted --> completed --> answered
//
// A request's time is cut at these points: what a point is called is what had happened then, and its histogram
// holds the time since the point before. A read is never marked; one of several pieces passes submitted and
// completed once for each. Only requests of a mount are timed (begin() .. end() on the thread that serves them),
// not copies or the background thread.
//
// Off, which is how it starts, a point costs the look at one flag that never changes.
//
// THREAD SAFETY: every function, any thread; the request under way is per thread, the histograms are atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace dmiofs {

enum class Stage : uint8_t { kRangeLocked, kDirtyMarked, kSubmitted, kCompleted, kAnswered };
inline constexpr unsigned kStages = 5;
const char* to_string(Stage stage);  // "range-locked" ...

enum class TimedOp : uint8_t { kRead, kWrite, kFlush };
inline constexpr unsigned kTimedOps = 3;
const char* to_string(TimedOp op);

// Times, of one stage of one kind of request; all in nanoseconds. Percentiles are exact to an eighth.
struct StageSummary {
  uint64_t count = 0;
  uint64_t total = 0;
  uint64_t p50 = 0, p99 = 0, max = 0;
};

class StageTimes {
 public:
  static void enable(bool on) { on_.store(on, std::memory_order_relaxed); }
  static bool enabled() { return on_.load(std::memory_order_relaxed); }

  static void begin(TimedOp op) {
    if (enabled()) begin_now(op);
  }
  static void pass(Stage stage) {
    if (enabled()) pass_now(stage);
  }
  static void end() {  // kAnswered
    if (enabled()) end_now();
  }

  // While there is one on this thread no stage passes: what runs is part of a stage (the log's I/O).
  class Inner {
   public:
    Inner() : was_under_way_(enabled() && set_under_way(false)) {}
    ~Inner() {
      if (was_under_way_) set_under_way(true);
    }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    const bool was_under_way_;
  };

  static StageSummary of(TimedOp op, Stage stage);
  static StageSummary whole(TimedOp op);  // from received to answered

 private:
  static void begin_now(TimedOp op);
  static void pass_now(Stage stage);
  static void end_now();
  static bool set_under_way(bool under_way);  // what it was
  static std::atomic<bool> on_;
};

}  // namespace dmiofs
