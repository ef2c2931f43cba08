// Sectors: 512 bytes, always, whatever a device's logical block size. Conversions, rounding, error bits.
#pragma once

#include <bit>
#include <cstdint>

namespace dmiofs {

using sector_t = uint64_t;

inline constexpr unsigned kSectorShift = 9;
inline constexpr uint64_t kSectorSize = 1u << kSectorShift;
inline constexpr uint64_t kPageSize = 4096;

constexpr uint64_t bytes_of(sector_t sectors) { return sectors << kSectorShift; }
constexpr sector_t sectors_of(uint64_t bytes) { return bytes >> kSectorShift; }

// `unit` is a power of two.
constexpr uint64_t round_down(uint64_t value, uint64_t unit) { return value & ~(unit - 1); }
constexpr uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) & ~(unit - 1); }
constexpr bool is_aligned(uint64_t value, uint64_t unit) { return (value & (unit - 1)) == 0; }

// Error bits: bit i on = I/O region (leg) i failed. 64 is the most I/O regions a request or a set can have.
using ErrorBits = uint64_t;
inline constexpr unsigned kMaxIoRegions = 64;
constexpr ErrorBits error_bit(unsigned index) { return ErrorBits{1} << index; }
// Of the lowest bit that is on; there is one.
constexpr unsigned lowest_index(ErrorBits bits) { return static_cast<unsigned>(std::countr_zero(bits)); }

}  // namespace dmiofs
