// SetRecord: what a set must know at its next start that its legs cannot tell: which leg is right.
//
// The dirty region log says which sync regions may differ and never which leg holds the acknowledged data (docs/mirror.md, K1). The record does: each
// leg's identity and state, with a generation number that grows with every change. A leg is trusted only as the newest record says.
//
// THREAD SAFETY: a value. Format on disk: docs/disk-format.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mirror/leg.h"

namespace dmiofs {

using Uuid = std::array<uint8_t, 16>;

struct LegRecord {
  Uuid uuid{};
  DeviceIdentity identity;
  sector_t sector = 0;
  sector_t count = 0;
  LegState state = LegState::kInSync;
  uint64_t left_generation = 0;  // of the record in which it stopped being in-sync; 0: it has not
  LegErrors errors;
  uint8_t error_kinds = 0;  // bit by LegErrorKind: the set's error bits of this leg
};

struct SetRecord {
  Uuid uuid{};
  uint64_t generation = 0;
  sector_t sync_region_sectors = 0;
  sector_t count = 0;
  bool clean = false;       // the set was stopped in order: nothing is in flight
  bool paused = false;      // of the sync action
  uint64_t speed_min = 0;   // bytes a second
  uint64_t speed_max = 0;   // 0: no limit
  uint32_t log_checksum = 0;  // CRC-32C of the log's header and bits at the clean stop
  std::vector<LegRecord> legs;
};

class SetRecordStore {
 public:
  virtual ~SetRecordStore() = default;
  // Durable when it returns 0. -errno: the record before it is still valid. Calls are serialised inside; an older generation than one that is durable
  // already is not written.
  virtual int store(const SetRecord& record) noexcept = 0;
};

}  // namespace dmiofs
