// Clocks: monotonic nanoseconds for deadlines and latencies, wall-clock seconds for what a user reads.
#pragma once

#include <time.h>

#include <cstdint>

namespace dmiofs {

using nanos_t = int64_t;  // of CLOCK_MONOTONIC: a jump of the wall clock moves no deadline

inline constexpr nanos_t kNoDeadline = INT64_MAX;
inline constexpr nanos_t kNanosPerMicro = 1'000;
inline constexpr nanos_t kNanosPerMilli = 1'000'000;
inline constexpr nanos_t kNanosPerSecond = 1'000'000'000;

inline nanos_t now_nanos() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<nanos_t>(ts.tv_sec) * kNanosPerSecond + ts.tv_nsec;
}

inline int64_t wall_seconds() {
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return ts.tv_sec;
}

}  // namespace dmiofs
