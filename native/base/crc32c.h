// CRC-32C (Castagnoli), the checksum of the set's record and of the log at a clean stop.
//
// THREAD SAFETY: pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace dmiofs {

// `crc`: the result for the bytes before, to go on from; 0 at the start. crc32c("123456789") is 0xE3069283.
uint32_t crc32c(std::span<const uint8_t> data, uint32_t crc = 0);

}  // namespace dmiofs
