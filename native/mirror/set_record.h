// SetRecord: what a set must know at its next start that its legs cannot tell: which leg is right.
//
// The dirty region log says which sync regions may differ and never which leg holds the acknowledged data
// (docs/mirror.md, K1). The record does: each leg's identity and state, with a generation number that grows
// with every change. A leg is trusted only as the newest record says.
//
// THREAD SAFETY: a value. Format on disk: docs/disk-format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mirror/leg.h"
#include "mirror/uuid.h"

namespace dmiofs {

struct LegRecord {
  Uuid uuid{};
  DeviceIdentity identity;
  sector_t sector = 0;
  sector_t count = 0;
  LegState state = LegState::kInSync;
  int replaces = -1;             // a replacement: index of the leg whose place it takes; -1: a leg
  uint64_t left_generation = 0;  // of the record in which it stopped being in-sync; 0: it has not
  LegErrors errors;
  uint8_t error_kinds = 0;  // bit by LegErrorKind: the set's error bits of this leg
};

struct SetRecord {
  Uuid uuid{};
  uint64_t generation = 0;
  sector_t sync_region_sectors = 0;
  sector_t count = 0;
  bool clean = false;         // the set was stopped in order: nothing is in flight
  bool paused = false;        // of the sync action
  bool limits_set = false;    // else the speed limits are the defaults, whatever they are
  uint64_t speed_min = 0;     // bytes a second
  uint64_t speed_max = 0;     // 0: no limit
  uint64_t start_count = 0;   // how often the set was started
  uint64_t sync_cursor = 0;   // sync region where the running sync action stood; a hint
  uint32_t log_checksum = 0;  // CRC-32C of the log's header and bits at the clean stop; the store fills it in
  std::vector<LegRecord> legs;
};

// ---- the format ----

inline constexpr size_t kMaxSerialBytes = 128;
inline constexpr size_t kRecordHeaderBytes = 256;
inline constexpr size_t kLegRecordBytes = 256;
inline constexpr size_t kMaxRecordBytes = kRecordHeaderBytes + kMaxIoRegions * kLegRecordBytes;

// An identity as the record can hold it: a serial that is too long becomes its beginning and a hash. Compare
// identities in this form.
DeviceIdentity record_identity(const DeviceIdentity& identity);

// Encodes all but what seal_record fills in. Returns the length in bytes, 0 when `to` is too small or there
// are more than 64 legs. No allocation.
size_t encode_record(const SetRecord& record, std::span<uint8_t> to);

// Completes an encoded record for its slot, `offset` bytes from the log's start: clean mark, checksum of the
// log, place, CRC.
void seal_record(std::span<uint8_t> encoded, unsigned slot, uint64_t offset, bool clean,
                 uint32_t log_checksum);

enum class RecordDecode : uint8_t { kOk, kNotARecord, kBadChecksum, kNewerVersion, kInvalid };

// `bytes` may be anything; `record` is complete when kOk is returned.
RecordDecode decode_record(std::span<const uint8_t> bytes, unsigned slot, uint64_t offset, SetRecord* record);

class SetRecordStore {
 public:
  virtual ~SetRecordStore() = default;
  // Durable when it returns 0. -errno: the record before it is still valid. Calls are serialised inside; an
  // older generation than one that is durable already is not written.
  virtual int store(const SetRecord& record) noexcept = 0;
};

}  // namespace dmiofs
