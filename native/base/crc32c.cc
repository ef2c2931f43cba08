#include "base/crc32c.h"

#include <array>
#include <cstring>

#include "base/little_endian.h"

namespace dmiofs {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected
constexpr unsigned kSlices = 8;

using Table = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Table make_table() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (unsigned bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (unsigned slice = 1; slice < kSlices; slice++) {
      const uint32_t before = table[slice - 1][byte];
      table[slice][byte] = (before >> 8) ^ table[0][before & 0xff];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

uint32_t crc32c(std::span<const uint8_t> data, uint32_t crc) {
  crc = ~crc;
  const uint8_t* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = load_le64(at) ^ crc;
    crc = 0;
    for (unsigned slice = 0; slice < kSlices; slice++) {
      crc ^= kTable[kSlices - 1 - slice][(word >> (8 * slice)) & 0xff];
    }
  }
  for (; left > 0; left--, at++) crc = (crc >> 8) ^ kTable[0][(crc ^ *at) & 0xff];
  return ~crc;
}

}  // namespace dmiofs
