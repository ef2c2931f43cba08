// History: reads and writes of one register by many threads, with when each began and ended, and whether they can be put in one order that
// explains every read: linearizability. Each write writes a value of its own, so that Gibbons' and Korach's test for a history with a known
// read mapping decides it exactly (Testing Shared Memories, SIAM J. Comput. 26(4), 1997).
//
// Per value: its zone lies between the first end and the last start of its operations. Forward (the first end is before the last start): at all
// times in it the register holds the value, so that two of these must not overlap. Backward otherwise: it fits anywhere but inside a forward zone.
//
// THREAD SAFETY: a log belongs to one thread; check() when all have ended.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace dmiofs::test {

struct Operation {
  bool write = false;
  uint64_t value = 0;
  nanos_t began = 0;
  nanos_t ended = 0;  // of a write that failed: kNever, it may take effect at any time, or not at all
};
inline constexpr nanos_t kNever = INT64_MAX;

struct Zone {
  uint64_t value;
  nanos_t first_end = kNever;
  nanos_t last_start = 0;
  bool written = false, read = false;
  nanos_t write_began = 0;
  bool forward() const { return first_end < last_start; }
  nanos_t low() const { return std::min(first_end, last_start); }
  nanos_t high() const { return std::max(first_end, last_start); }
};

// Empty: linearizable from the value `initial`; else why not.
inline std::string why_not_linearizable(const std::vector<Operation>& operations, uint64_t initial) {
  std::map<uint64_t, Zone> zones;
  zones[initial] = Zone{initial, 0, 0, true, false, 0};
  for (const Operation& one : operations) {
    Zone& zone = zones.try_emplace(one.value, Zone{one.value}).first->second;
    zone.first_end = std::min(zone.first_end, one.ended);
    zone.last_start = std::max(zone.last_start, one.began);
    (one.write ? zone.written : zone.read) = true;
    if (one.write) zone.write_began = one.began;
  }
  std::vector<Zone> forward;
  std::vector<Zone> backward;
  for (const auto& [value, zone] : zones) {
    if (!zone.written) return "value " + std::to_string(value) + " was read and never written";
    if (!zone.read && zone.first_end == kNever) continue;  // failed, and nobody saw it
    (zone.forward() ? forward : backward).push_back(zone);
  }
  for (const Operation& one : operations) {
    if (!one.write && one.ended < zones.at(one.value).write_began)
      return "value " + std::to_string(one.value) + " was read before it was written";
  }
  std::sort(forward.begin(), forward.end(), [](const Zone& a, const Zone& b) { return a.low() < b.low(); });
  for (size_t i = 1; i < forward.size(); i++) {
    if (forward[i - 1].high() > forward[i].low()) {
      return "values " + std::to_string(forward[i - 1].value) + " and " + std::to_string(forward[i].value) +
             " were both there at once";
    }
  }
  for (const Zone& zone : backward) {
    const auto after = std::upper_bound(forward.begin(), forward.end(), zone.low(),
                                        [](nanos_t low, const Zone& other) { return low < other.low(); });
    if (after == forward.begin()) continue;
    const Zone& around = *(after - 1);
    if (around.low() < zone.low() && zone.high() < around.high()) {
      return "value " + std::to_string(zone.value) + " was there while " + std::to_string(around.value) +
             " was all the time";
    }
  }
  return "";
}

}  // namespace dmiofs::test
