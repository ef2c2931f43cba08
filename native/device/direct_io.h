// In which units a descriptor opened with O_DIRECT takes I/O.
#pragma once

#include <cstdint>

namespace dmiofs {

struct DirectIoUnits {
  uint32_t offset_align = 512;  // of offsets and lengths
  uint32_t memory_align = 512;
};

// What statx(STATX_DIOALIGN) says; where the kernel does not say, what a trial read shows. False: no direct
// I/O on this file.
bool direct_io_units(int fd, uint64_t size_bytes, DirectIoUnits* units);

}  // namespace dmiofs
