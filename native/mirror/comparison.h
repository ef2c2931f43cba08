// Comparison: where legs differ, what each of them holds there, and who is right.
//
// Legs are compared block by block (the set's block: what can be written alone). Blocks next to each other in
// which the same legs hold the same are one range. Who is right: with three or more legs that vote the content
// that more than half of them hold; else that of the lowest one that votes, the primary.
//
// THREAD SAFETY: values. OWNERSHIP: ComparisonBuilder holds the hashes of the range that may still grow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/sector.h"
#include "base/sha256.h"
#include "dmio/io_region.h"

namespace dmiofs {

struct LegContent {
  unsigned leg = 0;
  Sha256::Digest sha256{};  // of the range's bytes on this leg, as they were found
};

struct DifferingRange {
  sector_t sector = 0;  // of the set
  sector_t count = 0;
  std::vector<LegContent> legs;  // those that were compared
  ErrorBits right = 0;           // legs that hold what is right; 0: nobody can say
  bool majority = false;         // else the primary's
  bool repaired = false;         // the others hold it too now, written and read back
};

// Of one sync region.
struct Comparison {
  static constexpr size_t kMostRanges = 1024;
  std::vector<DifferingRange> ranges;  // the first kMostRanges
  uint64_t range_count = 0;
  uint64_t sectors = 0;
  uint64_t repaired_count = 0;  // ranges
};

// A difference within one piece: bytes from its start.
struct Difference {
  size_t first = 0;
  size_t length = 0;
  std::array<uint8_t, kMaxIoRegions> same_as{};  // by leg: the lowest leg that holds the same
  ErrorBits right = 0;
  bool majority = false;
  bool repaired = false;
};

// What each leg holds of a piece; leg i at bytes(i). Legs that are not in `legs` hold nothing.
struct LegPieces {
  const uint8_t* data = nullptr;
  size_t stride = 0;
  size_t length = 0;
  ErrorBits legs = 0;
  const uint8_t* bytes(unsigned leg) const { return data + leg * stride; }
};

// Appends the differences in order. Allocates nothing when `found` has room for length / block of them.
// `votes`: legs that may be right.
void find_differences(const LegPieces& pieces, uint32_t block, ErrorBits votes,
                      std::vector<Difference>* found);

// Makes one Comparison of the differences of one piece after the other.
class ComparisonBuilder {
 public:
  explicit ComparisonBuilder(Comparison* to) : to_(to) {}
  ~ComparisonBuilder() { close(); }
  ComparisonBuilder(const ComparisonBuilder&) = delete;
  ComparisonBuilder& operator=(const ComparisonBuilder&) = delete;

  // `offset`: of the piece, bytes from the set's start. Differences come in ascending order, but for repeated
  // passes over one piece.
  void add(const Difference& difference, const LegPieces& pieces, uint64_t offset);
  void close();  // what comes next is another range

 private:
  Comparison* to_;
  bool open_ = false;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  ErrorBits legs_ = 0;
  Difference shape_;
  std::vector<Sha256> hashes_;  // by leg in legs_
};

}  // namespace dmiofs
