#include "mirror/comparison.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace dmiofs {
namespace {

using Groups = std::array<uint8_t, kMaxIoRegions>;

// Which legs hold the same block. False: all of them.
bool group_block(const LegPieces& pieces, size_t at, size_t block, Groups* same_as) {
  bool differ = false;
  for (ErrorBits left = pieces.legs; left != 0; left &= left - 1) {
    const unsigned leg = lowest_index(left);
    (*same_as)[leg] = static_cast<uint8_t>(leg);
    for (ErrorBits before = pieces.legs & (error_bit(leg) - 1); before != 0; before &= before - 1) {
      const unsigned other = lowest_index(before);
      if ((*same_as)[other] != other) continue;
      if (std::memcmp(pieces.bytes(leg) + at, pieces.bytes(other) + at, block) != 0) continue;
      (*same_as)[leg] = static_cast<uint8_t>(other);
      break;
    }
    differ = differ || (*same_as)[leg] != lowest_index(pieces.legs);
  }
  return differ;
}

ErrorBits group_of(const Groups& same_as, ErrorBits legs, unsigned leg) {
  ErrorBits group = 0;
  for (ErrorBits left = legs; left != 0; left &= left - 1) {
    if (same_as[lowest_index(left)] == same_as[leg]) group |= error_bit(lowest_index(left));
  }
  return group;
}

void judge(Difference* difference, ErrorBits legs, ErrorBits votes) {
  votes &= legs;
  if (votes == 0) return;
  difference->right = group_of(difference->same_as, legs, lowest_index(votes));
  const int voters = std::popcount(votes);
  if (voters < 3) return;
  for (ErrorBits left = votes; left != 0; left &= left - 1) {
    const ErrorBits group = group_of(difference->same_as, legs, lowest_index(left));
    if (std::popcount(group & votes) * 2 <= voters) continue;
    difference->right = group;
    difference->majority = true;
    return;
  }
}

}  // namespace

void find_differences(const LegPieces& pieces, uint32_t block, ErrorBits votes,
                      std::vector<Difference>* found) {
  bool adjacent = false;
  for (size_t at = 0; at < pieces.length; at += block) {
    const size_t length = std::min<size_t>(block, pieces.length - at);
    Groups same_as{};
    if (!group_block(pieces, at, length, &same_as)) {
      adjacent = false;
      continue;
    }
    if (adjacent && found->back().same_as == same_as) {
      found->back().length += length;
      continue;
    }
    Difference difference;
    difference.first = at;
    difference.length = length;
    difference.same_as = same_as;
    judge(&difference, pieces.legs, votes);
    found->push_back(difference);
    adjacent = true;
  }
}

void ComparisonBuilder::add(const Difference& difference, const LegPieces& pieces, uint64_t offset) {
  const uint64_t first = offset + difference.first;
  const bool grows = open_ && first == end_ && legs_ == pieces.legs && shape_.same_as == difference.same_as &&
                     shape_.right == difference.right && shape_.majority == difference.majority &&
                     shape_.repaired == difference.repaired;
  if (!grows) {
    close();
    open_ = true;
    first_ = first;
    legs_ = pieces.legs;
    shape_ = difference;
    hashes_.assign(static_cast<size_t>(std::popcount(legs_)), Sha256());
  }
  end_ = first + difference.length;
  if (to_->ranges.size() >= Comparison::kMostRanges) return;
  size_t index = 0;
  for (ErrorBits left = legs_; left != 0; left &= left - 1) {
    hashes_[index++].update({pieces.bytes(lowest_index(left)) + difference.first, difference.length});
  }
}

void ComparisonBuilder::close() {
  if (!open_) return;
  open_ = false;
  to_->range_count++;
  to_->sectors += sectors_of(end_ - first_);
  to_->repaired_count += shape_.repaired ? 1 : 0;
  if (to_->ranges.size() >= Comparison::kMostRanges) return;
  DifferingRange range;
  range.sector = sectors_of(first_);
  range.count = sectors_of(end_ - first_);
  range.right = shape_.right;
  range.majority = shape_.majority;
  range.repaired = shape_.repaired;
  size_t index = 0;
  for (ErrorBits left = legs_; left != 0; left &= left - 1)
    range.legs.push_back({lowest_index(left), hashes_[index++].digest()});
  to_->ranges.push_back(std::move(range));
}

}  // namespace dmiofs
