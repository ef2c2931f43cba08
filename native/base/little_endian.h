// Little-endian integers in byte arrays, for formats on disk: independent of the machine's byte order and of
// alignment.
#pragma once

#include <cstdint>

namespace dmiofs {

inline uint32_t load_le32(const uint8_t* from) {
  return static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8 |
         static_cast<uint32_t>(from[2]) << 16 | static_cast<uint32_t>(from[3]) << 24;
}

inline uint64_t load_le64(const uint8_t* from) {
  return load_le32(from) | static_cast<uint64_t>(load_le32(from + 4)) << 32;
}

inline void store_le32(uint8_t* to, uint32_t value) {
  for (unsigned i = 0; i < 4; i++) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

inline void store_le64(uint8_t* to, uint64_t value) {
  for (unsigned i = 0; i < 8; i++) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace dmiofs
