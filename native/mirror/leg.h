// Leg: one I/O region of a mirror set, its state, and what is known of its errors.
//
//     leg state:   in-sync <--rebuild ended-- rebuilding <--re-add/replace-- failed | missing
//                     \---------- I/O error, timeout, fail verb ------------> failed
//
//   in-sync     written to, read from: has every acknowledged write
//   rebuilding  written to; read from only where already copied
//   failed      no I/O at all
//   missing     could not be opened; no I/O at all
#pragma once

#include <cstdint>
#include <string>

#include "base/sector.h"
#include "dmio/io_region.h"

namespace dmiofs {

enum class LegState : uint8_t { kInSync, kRebuilding, kFailed, kMissing };
const char* to_string(LegState state);  // as users see it: "in-sync", ...

// Why a leg has an error; one dm-mirror health character each (kernel: dm-raid1.c device_status_char).
enum class LegErrorKind : uint8_t { kRead, kWrite, kFlush, kSync };
inline constexpr unsigned kLegErrorKinds = 4;

struct LegErrors {
  uint64_t count[kLegErrorKinds] = {};
  int last_errno = 0;        // positive; 0: none
  sector_t last_sector = 0;  // of the set
  int64_t last_time = 0;     // wall-clock seconds
};

struct LegInfo {
  std::string device;  // path
  sector_t sector = 0;
  sector_t count = 0;
  LegState state = LegState::kMissing;
  int replaces = -1;  // a replacement: index of the leg whose place it takes; -1: a leg
  char health = 'U';  // A a D F S R U
  LegErrors errors;
  DeviceIdentity identity;
  unsigned late_ios = 0;  // that its device owes us: they outlived their deadline
  // I/O done for users of the set.
  uint64_t reads = 0, writes = 0, flushes = 0, read_bytes = 0, write_bytes = 0;
  uint64_t repaired_reads = 0;  // failed sectors rewritten from a good leg
};

}  // namespace dmiofs
