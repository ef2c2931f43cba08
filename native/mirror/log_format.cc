#include "mirror/log_format.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/little_endian.h"

namespace dmiofs {
namespace {

constexpr size_t kVersionAt = 4;
constexpr size_t kNrRegionsAt = 8;
constexpr uint8_t kOwnerMagic[8] = {'D', 'M', 'I', 'O', 'F', 'S', 'L', 'G'};

bool all_bytes(std::span<const uint8_t> bytes, uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](uint8_t byte) { return byte == value; });
}

// Sync regions [first, last) become dirty; bit by bit at the edges, bytes between.
void clear_bits(std::span<uint8_t> image, uint64_t first, uint64_t last) {
  uint8_t* bits = image.data() + kLogBitsOffset;
  for (; first < last && first % 8 != 0; first++)
    bits[first / 8] &= static_cast<uint8_t>(~(1u << (first % 8)));
  for (; first + 8 <= last; first += 8) bits[first / 8] = 0;
  for (; first < last; first++) bits[first / 8] &= static_cast<uint8_t>(~(1u << (first % 8)));
}

}  // namespace

Status LogGeometry::check() const {
  if (count == 0) return Error{EINVAL, "lay out the log", "", "the set has no sectors"};
  if (sync_region_sectors < 2 || !std::has_single_bit(sync_region_sectors)) {
    return Error{EINVAL, "lay out the log", "", "region_size is a power of two sectors, at least 2"};
  }
  if (logical_block < 512 || !std::has_single_bit(logical_block)) {
    return Error{EINVAL, "lay out the log", "", "a logical block is a power of two bytes, at least 512"};
  }
  if (count > (UINT64_MAX >> kSectorShift) || sync_regions() > kMaxSyncRegions) {
    return Error{EINVAL, "lay out the log", "",
                 "a log holds at most 2^32 - 1 sync regions: use a larger region_size"};
  }
  return ok_status();
}

const char* to_string(LogHeaderState state) {
  switch (state) {
    case LogHeaderState::kValid: return "valid";
    case LogHeaderState::kBlank: return "blank";
    case LogHeaderState::kNotALog: return "not a log";
    case LogHeaderState::kUnknownVersion: return "unknown version";
  }
  return "?";
}

LogHeader parse_log_header(std::span<const uint8_t> bytes) {
  LogHeader header;
  if (bytes.size() < kLogBitsOffset) return header;
  const uint8_t* const mark = bytes.data() + kLogOwnerOffset;
  if (std::memcmp(mark, kOwnerMagic, sizeof kOwnerMagic) == 0) {
    std::memcpy(header.owner.emplace().data(), mark + sizeof kOwnerMagic, sizeof(Uuid));
  }
  const uint32_t magic = load_le32(bytes.data());
  if (magic != kLogMagic) {
    header.state =
        all_bytes(bytes.first(kLogBitsOffset), 0) ? LogHeaderState::kBlank : LogHeaderState::kNotALog;
    return header;
  }
  header.version = load_le32(bytes.data() + kVersionAt);
  header.nr_regions = load_le64(bytes.data() + kNrRegionsAt);
  // Version 1 differs on big-endian machines only, which are long gone.
  header.state = header.version == 1 || header.version == kLogVersion ? LogHeaderState::kValid
                                                                      : LogHeaderState::kUnknownVersion;
  return header;
}

void write_log_header(std::span<uint8_t> bytes, uint64_t nr_regions) {
  store_le32(bytes.data(), kLogMagic);
  store_le32(bytes.data() + kVersionAt, kLogVersion);
  store_le64(bytes.data() + kNrRegionsAt, nr_regions);
}

void write_log_owner(std::span<uint8_t> bytes, const Uuid& owner) {
  std::memcpy(bytes.data() + kLogOwnerOffset, kOwnerMagic, sizeof kOwnerMagic);
  std::memcpy(bytes.data() + kLogOwnerOffset + sizeof kOwnerMagic, owner.data(), owner.size());
}

uint64_t resume_log_image(std::span<uint8_t> image, uint64_t sync_regions, bool all_dirty) {
  const LogHeader header = parse_log_header(image);
  const bool trusted = header.state == LogHeaderState::kValid && !all_dirty;
  const uint64_t vouched = trusted ? std::min(header.nr_regions, sync_regions) : 0;
  const uint64_t bits = (sync_regions + 63) / 64 * 64;
  clear_bits(image, vouched, bits);
  write_log_header(image, sync_regions);
  uint64_t clean = 0;
  for (uint64_t byte = 0; byte < bits / 8; byte++)
    clean += static_cast<uint64_t>(std::popcount(image[kLogBitsOffset + byte]));
  return clean;
}

const char* to_string(SlotState state) {
  switch (state) {
    case SlotState::kOk: return "ok";
    case SlotState::kBlank: return "blank";
    case SlotState::kNotARecord: return "not a record";
    case SlotState::kBadChecksum: return "checksum wrong";
    case SlotState::kNewerVersion: return "written by a newer dmiofs";
    case SlotState::kInvalid: return "content impossible";
  }
  return "?";
}

ParsedSlot parse_slot(std::span<const uint8_t> bytes, unsigned slot, uint64_t offset) {
  ParsedSlot parsed;
  if (!bytes.empty() && (all_bytes(bytes, 0) || all_bytes(bytes, 0xff))) {
    parsed.state = SlotState::kBlank;
    return parsed;
  }
  SetRecord record;
  switch (decode_record(bytes, slot, offset, &record)) {
    case RecordDecode::kOk:
      parsed.state = SlotState::kOk;
      parsed.record = std::move(record);
      break;
    case RecordDecode::kNotARecord: parsed.state = SlotState::kNotARecord; break;
    case RecordDecode::kBadChecksum: parsed.state = SlotState::kBadChecksum; break;
    case RecordDecode::kNewerVersion: parsed.state = SlotState::kNewerVersion; break;
    case RecordDecode::kInvalid: parsed.state = SlotState::kInvalid; break;
  }
  return parsed;
}

ParsedRecord parse_record(std::span<const uint8_t> slot0, std::span<const uint8_t> slot1,
                          const LogGeometry& geometry) {
  ParsedRecord parsed;
  parsed.slots[0] = parse_slot(slot0, 0, geometry.slot_offset(0));
  parsed.slots[1] = parse_slot(slot1, 1, geometry.slot_offset(1));
  const ParsedSlot& a = parsed.slots[0];
  const ParsedSlot& b = parsed.slots[1];
  const auto any = [&](SlotState state) { return a.state == state || b.state == state; };
  if (a.record && b.record && a.record->uuid != b.record->uuid) {
    parsed.problem = "its two slots belong to different sets";
    return parsed;
  }
  if (any(SlotState::kNewerVersion)) {
    // The other slot is then the older one: to go by it would be to go back in time.
    parsed.problem = "it was written by a newer dmiofs";
    return parsed;
  }
  if (a.record && b.record) {
    parsed.newest = b.record->generation > a.record->generation ? 1 : 0;
  } else if (a.record) {
    parsed.newest = 0;
  } else if (b.record) {
    parsed.newest = 1;
  } else {
    parsed.problem = any(SlotState::kBadChecksum) ? "the checksum is wrong in both slots"
                     : any(SlotState::kInvalid)   ? "its content is impossible"
                                                  : kNoRecord;
  }
  return parsed;
}

ParsedLog parse_log(std::span<const uint8_t> bytes, uint32_t logical_block) {
  ParsedLog parsed;
  parsed.header = parse_log_header(bytes);
  parsed.record.problem = kNoRecord;
  if (parsed.header.state != LogHeaderState::kValid || parsed.header.nr_regions > kMaxSyncRegions)
    return parsed;
  const LogGeometry geometry{parsed.header.nr_regions, 1, logical_block};
  if (geometry.bits_end() <= bytes.size()) {
    for (uint64_t at = 0; at < parsed.header.nr_regions; at++)
      parsed.dirty += log_bit_clean(bytes, at) ? 0 : 1;
  } else {
    parsed.dirty = parsed.header.nr_regions;  // cut off: nothing vouches for the bits
  }
  const auto slot = [&](unsigned index) {
    const uint64_t offset = geometry.slot_offset(index);
    return offset >= bytes.size()
               ? bytes.first(0)
               : bytes.subspan(offset, std::min(geometry.slot_stride(), bytes.size() - offset));
  };
  parsed.record = parse_record(slot(0), slot(1), geometry);
  return parsed;
}

}  // namespace dmiofs
