// The layout of a log: the kernel's dm-log disk format (version 2), byte for byte, and after it two slots for
// the set's record.
//
//     0            header: magic, version, number of sync regions (kernel: struct log_header_disk)
//     512          ours, in bytes that the kernel keeps and does not interpret: "DMIOFSLG" and the set's UUID
//     1024         clean bitset, a bit a sync region, LSB first: 1 clean, 0 dirty or never in sync
//     T            the kernel's part ends: round_up(1024 + 8 * ceil(n / 64), logical block)
//     R            round_up(T, unit): record slot 0;  R + stride: slot 1;  R + 2 * stride: the end
//
// `unit` is 4096 bytes, or the log device's logical block when that is larger: what one write changes at
// least. Byte tables: docs/disk-format.md.
//
// Everything here is pure: bytes in, values out, whatever the bytes are. THREAD SAFETY: pure functions and
// values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/sector.h"
#include "mirror/set_record.h"

namespace dmiofs {

inline constexpr uint32_t kLogMagic = 0x4D695272;  // bytes 72 52 69 4D
inline constexpr uint32_t kLogVersion = 2;
inline constexpr uint64_t kLogOwnerOffset = 512;
inline constexpr uint64_t kLogBitsOffset = 1024;         // kernel: LOG_OFFSET, 2 sectors
inline constexpr uint64_t kMaxSyncRegions = UINT32_MAX;  // kernel: region_count is 32 bits
inline constexpr uint64_t kAnyNrRegions = UINT64_MAX;    // LVM: the bits are good for any size

struct LogGeometry {
  sector_t count = 0;                // of the set
  sector_t sync_region_sectors = 0;  // power of two, >= 2
  uint32_t logical_block = 512;      // of the log device

  uint64_t sync_regions() const { return (count + sync_region_sectors - 1) / sync_region_sectors; }
  uint64_t unit() const { return logical_block > kPageSize ? logical_block : kPageSize; }
  uint64_t bits_end() const { return kLogBitsOffset + (sync_regions() + 63) / 64 * 8; }
  uint64_t kernel_bytes() const { return round_up(bits_end(), logical_block); }  // T
  uint64_t record_offset() const { return round_up(kernel_bytes(), unit()); }    // R
  uint64_t slot_stride() const { return round_up(kMaxRecordBytes, unit()); }
  uint64_t slot_offset(unsigned slot) const { return record_offset() + slot * slot_stride(); }
  uint64_t total_bytes() const { return record_offset() + 2 * slot_stride(); }

  // EINVAL: not a power of two, no sectors, more sync regions than the format holds.
  Status check() const;
};

enum class LogHeaderState : uint8_t {
  kValid,
  kBlank,           // all zeros: a new log, everything dirty
  kNotALog,         // another magic: everything dirty
  kUnknownVersion,  // not 1 or 2: everything dirty
};
const char* to_string(LogHeaderState state);

struct LogHeader {
  LogHeaderState state = LogHeaderState::kNotALog;
  uint32_t version = 0;
  uint64_t nr_regions = 0;  // the bits before it count; those from it on are dirty
  // The set whose log it is. None: a log of the kernel alone. With one, a log whose record is gone can be told from a kernel's.
  std::optional<Uuid> owner;
};

// `bytes`: at least the first 1024 of the log; fewer are not a log.
LogHeader parse_log_header(std::span<const uint8_t> bytes);

// Writes magic, version 2 and `nr_regions`; the bytes that the kernel does not interpret stay as they are.
void write_log_header(std::span<uint8_t> bytes, uint64_t nr_regions);
void write_log_owner(std::span<uint8_t> bytes, const Uuid& owner);

// Brings the kernel's part to what it means for `sync_regions` (kernel: disk_resume): bits that the header
// does not vouch for become dirty, those beyond the last sync region 0, the header canonical. Returns how
// many sync regions are clean. `image` holds all of the bitset.
uint64_t resume_log_image(std::span<uint8_t> image, uint64_t sync_regions, bool all_dirty);

inline bool log_bit_clean(std::span<const uint8_t> image, uint64_t sync_region) {
  return (image[kLogBitsOffset + sync_region / 8] >> (sync_region % 8) & 1) != 0;
}

enum class SlotState : uint8_t {
  kOk,
  kBlank,         // all zeros, or all ones: never written
  kNotARecord,    // another magic, or cut off
  kBadChecksum,   // torn by a power cut, or damaged
  kNewerVersion,  // written by a newer dmiofs
  kInvalid,       // checksum right, content impossible, or written for another place
};
const char* to_string(SlotState state);

struct ParsedSlot {
  SlotState state = SlotState::kNotARecord;
  std::optional<SetRecord> record;  // when kOk
};

// `bytes`: one slot (its stride) at `offset` bytes from the log's start.
ParsedSlot parse_slot(std::span<const uint8_t> bytes, unsigned slot, uint64_t offset);

inline constexpr const char* kNoRecord = "there is none";

// Both slots. `newest`: the one with the larger generation, -1 when none counts.
struct ParsedRecord {
  ParsedSlot slots[2];
  int newest = -1;
  std::string problem;  // why there is no record, or why it cannot be trusted; empty when it can
  const SetRecord* record() const { return newest < 0 ? nullptr : &*slots[newest].record; }
};
ParsedRecord parse_record(std::span<const uint8_t> slot0, std::span<const uint8_t> slot1,
                          const LogGeometry& geometry);

// A whole log in memory, of any content and length (the fuzzer's way in; `dmiofs` reads piecewise). Where the
// record lies follows from nr_regions.
struct ParsedLog {
  LogHeader header;
  uint64_t dirty = 0;  // of the first nr_regions
  ParsedRecord record;
};
ParsedLog parse_log(std::span<const uint8_t> bytes, uint32_t logical_block = 512);

}  // namespace dmiofs
