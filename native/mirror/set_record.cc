// The record's bytes: the table is in docs/disk-format.md. All numbers are little-endian.
#include "mirror/set_record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/crc32c.h"
#include "base/little_endian.h"

namespace dmiofs {
namespace {

constexpr uint8_t kMagic[8] = {'D', 'M', 'I', 'O', 'F', 'S', 'R', 'C'};
constexpr uint32_t kVersion = 1;

// Offsets in the header.
constexpr size_t kVersionAt = 8;
constexpr size_t kCrcAt = 12;
constexpr size_t kLengthAt = 16;
constexpr size_t kSlotAt = 20;
constexpr size_t kOffsetAt = 24;
constexpr size_t kUuidAt = 32;
constexpr size_t kGenerationAt = 48;
constexpr size_t kSyncRegionSectorsAt = 56;
constexpr size_t kCountAt = 64;
constexpr size_t kSyncRegionsAt = 72;
constexpr size_t kFlagsAt = 80;
constexpr size_t kLegsAt = 84;
constexpr size_t kStartCountAt = 88;
constexpr size_t kSpeedMinAt = 96;
constexpr size_t kSpeedMaxAt = 104;
constexpr size_t kSyncCursorAt = 112;
constexpr size_t kLogChecksumAt = 120;

constexpr uint32_t kFlagClean = 1;
constexpr uint32_t kFlagPaused = 2;
constexpr uint32_t kFlagLimitsSet = 4;

// Offsets in a leg's entry.
constexpr size_t kLegUuidAt = 0;
constexpr size_t kLegKindAt = 16;
constexpr size_t kLegStateAt = 17;
constexpr size_t kLegErrorKindsAt = 18;
constexpr size_t kLegSerialLengthAt = 19;
constexpr size_t kLegLastErrnoAt = 20;
constexpr size_t kLegDevAt = 24;
constexpr size_t kLegInodeAt = 32;
constexpr size_t kLegSectorAt = 40;
constexpr size_t kLegCountAt = 48;
constexpr size_t kLegLeftGenerationAt = 56;
constexpr size_t kLegErrorsAt = 64;
constexpr size_t kLegLastSectorAt = 96;
constexpr size_t kLegLastTimeAt = 104;
constexpr size_t kLegReplacesAt = 112;  // 1 more than the index; 0: it is no replacement
constexpr size_t kLegSerialAt = 128;
static_assert(kLegSerialAt + kMaxSerialBytes == kLegRecordBytes);
static_assert(kLegErrorsAt + kLegErrorKinds * 8 == kLegLastSectorAt);

constexpr size_t kHashDigits = 16;

uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// Into exactly kMaxSerialBytes or fewer; returns the length.
size_t write_serial(const std::string& serial, uint8_t* to) {
  if (serial.size() <= kMaxSerialBytes) {
    std::memcpy(to, serial.data(), serial.size());
    return serial.size();
  }
  const size_t kept = kMaxSerialBytes - kHashDigits - 1;
  std::memcpy(to, serial.data(), kept);
  to[kept] = '#';
  uint64_t hash = fnv1a(serial);
  for (size_t i = 0; i < kHashDigits; i++, hash <<= 4)
    to[kept + 1 + i] = static_cast<uint8_t>("0123456789abcdef"[hash >> 60]);
  return kMaxSerialBytes;
}

void encode_leg(const LegRecord& leg, uint8_t* to) {
  std::memcpy(to + kLegUuidAt, leg.uuid.data(), leg.uuid.size());
  to[kLegKindAt] = leg.identity.kind == DeviceKind::kBlock ? 1 : 2;
  to[kLegStateAt] = static_cast<uint8_t>(leg.state);
  to[kLegErrorKindsAt] = leg.error_kinds;
  to[kLegReplacesAt] = static_cast<uint8_t>(leg.replaces + 1);
  to[kLegSerialLengthAt] = static_cast<uint8_t>(write_serial(leg.identity.serial, to + kLegSerialAt));
  store_le32(to + kLegLastErrnoAt, static_cast<uint32_t>(leg.errors.last_errno));
  store_le64(to + kLegDevAt, leg.identity.dev);
  store_le64(to + kLegInodeAt, leg.identity.inode);
  store_le64(to + kLegSectorAt, leg.sector);
  store_le64(to + kLegCountAt, leg.count);
  store_le64(to + kLegLeftGenerationAt, leg.left_generation);
  for (unsigned kind = 0; kind < kLegErrorKinds; kind++)
    store_le64(to + kLegErrorsAt + 8 * kind, leg.errors.count[kind]);
  store_le64(to + kLegLastSectorAt, leg.errors.last_sector);
  store_le64(to + kLegLastTimeAt, static_cast<uint64_t>(leg.errors.last_time));
}

bool decode_leg(const uint8_t* from, LegRecord* leg) {
  if (from[kLegKindAt] != 1 && from[kLegKindAt] != 2) return false;
  if (from[kLegStateAt] > static_cast<uint8_t>(LegState::kMissing)) return false;
  if (from[kLegErrorKindsAt] >= 1u << kLegErrorKinds) return false;
  if (from[kLegSerialLengthAt] > kMaxSerialBytes) return false;
  if (from[kLegReplacesAt] > kMaxIoRegions) return false;
  std::memcpy(leg->uuid.data(), from + kLegUuidAt, leg->uuid.size());
  leg->identity.kind = from[kLegKindAt] == 1 ? DeviceKind::kBlock : DeviceKind::kFile;
  leg->identity.dev = load_le64(from + kLegDevAt);
  leg->identity.inode = load_le64(from + kLegInodeAt);
  leg->identity.serial.assign(reinterpret_cast<const char*>(from + kLegSerialAt), from[kLegSerialLengthAt]);
  leg->state = static_cast<LegState>(from[kLegStateAt]);
  leg->error_kinds = from[kLegErrorKindsAt];
  leg->replaces = from[kLegReplacesAt] - 1;
  leg->sector = load_le64(from + kLegSectorAt);
  leg->count = load_le64(from + kLegCountAt);
  leg->left_generation = load_le64(from + kLegLeftGenerationAt);
  for (unsigned kind = 0; kind < kLegErrorKinds; kind++)
    leg->errors.count[kind] = load_le64(from + kLegErrorsAt + 8 * kind);
  leg->errors.last_errno = static_cast<int>(load_le32(from + kLegLastErrnoAt));
  leg->errors.last_sector = load_le64(from + kLegLastSectorAt);
  leg->errors.last_time = static_cast<int64_t>(load_le64(from + kLegLastTimeAt));
  return true;
}

uint32_t record_crc(std::span<const uint8_t> bytes) {
  static constexpr uint8_t kZero[4] = {};
  uint32_t crc = crc32c(bytes.first(kCrcAt));
  crc = crc32c(kZero, crc);
  return crc32c(bytes.subspan(kCrcAt + 4), crc);
}

}  // namespace

DeviceIdentity record_identity(const DeviceIdentity& identity) {
  DeviceIdentity stored = identity;
  if (identity.serial.size() <= kMaxSerialBytes) return stored;
  uint8_t serial[kMaxSerialBytes];
  stored.serial.assign(reinterpret_cast<const char*>(serial), write_serial(identity.serial, serial));
  return stored;
}

size_t encode_record(const SetRecord& record, std::span<uint8_t> to) {
  const size_t length = kRecordHeaderBytes + record.legs.size() * kLegRecordBytes;
  if (record.legs.size() > kMaxIoRegions || length > to.size() || record.sync_region_sectors == 0) return 0;
  uint8_t* at = to.data();
  std::memset(at, 0, length);
  std::memcpy(at, kMagic, sizeof kMagic);
  store_le32(at + kVersionAt, kVersion);
  store_le32(at + kLengthAt, static_cast<uint32_t>(length));
  std::memcpy(at + kUuidAt, record.uuid.data(), record.uuid.size());
  store_le64(at + kGenerationAt, record.generation);
  store_le64(at + kSyncRegionSectorsAt, record.sync_region_sectors);
  store_le64(at + kCountAt, record.count);
  store_le64(at + kSyncRegionsAt,
             (record.count + record.sync_region_sectors - 1) / record.sync_region_sectors);
  store_le32(at + kFlagsAt, (record.paused ? kFlagPaused : 0) | (record.limits_set ? kFlagLimitsSet : 0));
  store_le32(at + kLegsAt, static_cast<uint32_t>(record.legs.size()));
  store_le64(at + kStartCountAt, record.start_count);
  store_le64(at + kSpeedMinAt, record.speed_min);
  store_le64(at + kSpeedMaxAt, record.speed_max);
  store_le64(at + kSyncCursorAt, record.sync_cursor);
  for (size_t i = 0; i < record.legs.size(); i++)
    encode_leg(record.legs[i], at + kRecordHeaderBytes + i * kLegRecordBytes);
  return length;
}

void seal_record(std::span<uint8_t> encoded, unsigned slot, uint64_t offset, bool clean,
                 uint32_t log_checksum) {
  uint8_t* at = encoded.data();
  const uint32_t flags = load_le32(at + kFlagsAt) & ~kFlagClean;
  store_le32(at + kFlagsAt, flags | (clean ? kFlagClean : 0));
  store_le32(at + kLogChecksumAt, clean ? log_checksum : 0);
  store_le32(at + kSlotAt, slot);
  store_le64(at + kOffsetAt, offset);
  store_le32(at + kCrcAt, record_crc(encoded));
}

RecordDecode decode_record(std::span<const uint8_t> bytes, unsigned slot, uint64_t offset,
                           SetRecord* record) {
  if (bytes.size() < kRecordHeaderBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    return RecordDecode::kNotARecord;
  const uint8_t* at = bytes.data();
  const uint64_t length = load_le32(at + kLengthAt);
  if (length < kRecordHeaderBytes || length > bytes.size()) return RecordDecode::kBadChecksum;
  if (record_crc(bytes.first(length)) != load_le32(at + kCrcAt)) return RecordDecode::kBadChecksum;
  // Every version keeps magic, version, CRC and length where they are, so that "newer" can be told from
  // "damaged".
  if (load_le32(at + kVersionAt) > kVersion) return RecordDecode::kNewerVersion;

  const uint32_t legs = load_le32(at + kLegsAt);
  const uint32_t flags = load_le32(at + kFlagsAt);
  SetRecord decoded;
  decoded.sync_region_sectors = load_le64(at + kSyncRegionSectorsAt);
  decoded.count = load_le64(at + kCountAt);
  if (load_le32(at + kVersionAt) == 0 || load_le32(at + kSlotAt) != slot ||
      load_le64(at + kOffsetAt) != offset) {
    return RecordDecode::kInvalid;
  }
  if (legs == 0 || legs > kMaxIoRegions || length != kRecordHeaderBytes + legs * kLegRecordBytes)
    return RecordDecode::kInvalid;
  if (!std::has_single_bit(decoded.sync_region_sectors) || decoded.count == 0 ||
      decoded.count > UINT64_MAX >> kSectorShift) {
    return RecordDecode::kInvalid;
  }
  // Ties the record to the bitset that it was written with.
  const uint64_t sync_regions = (decoded.count - 1) / decoded.sync_region_sectors + 1;
  if (load_le64(at + kSyncRegionsAt) != sync_regions) return RecordDecode::kInvalid;
  std::memcpy(decoded.uuid.data(), at + kUuidAt, decoded.uuid.size());
  decoded.generation = load_le64(at + kGenerationAt);
  decoded.clean = (flags & kFlagClean) != 0;
  decoded.paused = (flags & kFlagPaused) != 0;
  decoded.start_count = load_le64(at + kStartCountAt);
  decoded.speed_min = load_le64(at + kSpeedMinAt);
  decoded.speed_max = load_le64(at + kSpeedMaxAt);
  // A record of before there was the flag has limits only where they were set.
  decoded.limits_set = (flags & kFlagLimitsSet) != 0 || decoded.speed_min != 0 || decoded.speed_max != 0;
  decoded.sync_cursor = load_le64(at + kSyncCursorAt);
  decoded.log_checksum = load_le32(at + kLogChecksumAt);
  decoded.legs.resize(legs);
  for (uint32_t i = 0; i < legs; i++) {
    if (!decode_leg(at + kRecordHeaderBytes + i * kLegRecordBytes, &decoded.legs[i]))
      return RecordDecode::kInvalid;
    const int replaces = decoded.legs[i].replaces;
    if (replaces >= static_cast<int>(legs) || replaces == static_cast<int>(i)) return RecordDecode::kInvalid;
  }
  *record = std::move(decoded);
  return RecordDecode::kOk;
}

}  // namespace dmiofs
