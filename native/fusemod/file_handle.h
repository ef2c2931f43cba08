// What an open file's 64-bit handle says: which file, and whether it was opened with O_TRUNC. A value: nothing to free, nothing to look up wrongly.
#pragma once

#include <cstdint>

#include "fusemod/mount_context.h"

namespace dmiofs {

struct FileHandle {
  unsigned index = 0;      // in MountContext::files
  bool truncated = false;  // opened with O_TRUNC: ftruncate(2) on it zeroes (truncate_rule.cc)

  uint64_t encode() const { return (uint64_t{index} << 1) | (truncated ? 1 : 0); }
  static FileHandle decode(uint64_t fh) { return {static_cast<unsigned>(fh >> 1), (fh & 1) != 0}; }
};

}  // namespace dmiofs
