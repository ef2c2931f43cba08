// The legs of a running set: what is known of each, and what a data path sees of them all.
//
// THREAD SAFETY: each says its own. LOCK ORDER: mirror/mirror_set_impl.h. OWNERSHIP: the set's; LegView and ReadOutcome are values.
#pragma once

#include <atomic>
#include <string>

#include "mirror/leg.h"
#include "mirror/leg_statistics.h"
#include "mirror/read_error_limit.h"
#include "mirror/set_record.h"

namespace dmiofs {

inline constexpr unsigned kNoLeg = UINT32_MAX;

// What a data path sees of the legs: taken under its range lock, so that who is in-sync here has every
// acknowledged write of the range.
struct LegView {
  ErrorBits in_sync = 0;
  ErrorBits active = 0;  // in-sync or rebuilding: what is written to
  ErrorBits all = 0;     // every leg, replacements too
  ErrorBits places = 0;  // every leg but replacements
  unsigned source = 0;   // where sync regions that are not in sync are read; meaningless when in_sync is 0
  // The record's generation in which the last leg left. Until it is durable no write that went without that
  // leg is acknowledged.
  uint64_t left_generation = 0;
};

struct LegCounters {
  LegStatistics statistics;
  std::atomic<uint64_t> repaired_reads{0};
  std::atomic<int64_t> latency{0};  // nanoseconds, moving average of reads
};

// One leg; all but its counters is guarded by the set's state_mutex.
struct Leg {
  std::string device;
  sector_t sector = 0;
  LegState state = LegState::kMissing;
  LegErrors errors;
  uint8_t error_kinds = 0;
  ReadErrorLimit read_errors;  // lately
  uint64_t left_generation = 0;
  int replaces = -1;  // a replacement: the leg whose place it takes when it is in-sync; -1: a leg
  Uuid uuid{};
  DeviceIdentity identity;  // as recorded: of the device with the leg's data, not of an untrusted one
  LegCounters counters;
};

// Which leg served a read.
struct ReadOutcome {
  unsigned leg = kNoLeg;
  ErrorBits failed = 0;   // legs that had an error and are still in use
  bool replaced = false;  // the buffer is another one, with none of what it held
};

}  // namespace dmiofs
