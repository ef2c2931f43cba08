#include "mirror/sync_regions.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace dmiofs {
namespace {

// The word: bit 31 dirty, bit 30 cleaning, bit 29 dirty but not written since it was clean (marked ahead of a
// write), bits 16..28 writes in flight, bits 0..15 when the last one ended,
// in ticks. The clock goes round in under two hours; one that then looks busy is cleaned a little later.
constexpr uint32_t kDirty = uint32_t{1} << 31;
constexpr uint32_t kCleaning = uint32_t{1} << 30;
constexpr uint32_t kAhead = uint32_t{1} << 29;
constexpr uint32_t kOneWrite = uint32_t{1} << 16;
constexpr uint32_t kWrites = uint32_t{0x1fff} << 16;
constexpr uint32_t kTime = kOneWrite - 1;
constexpr nanos_t kTick = kNanosPerSecond / 10;

// Of a group of 64: with fewer written a write marks its own sync regions only.
constexpr int kFewWritten = 4;

uint32_t time_word() { return static_cast<uint32_t>(now_nanos() / kTick) & kTime; }

void* map_zeros(size_t size) {
  void* memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

using Bits = std::atomic<uint64_t>;

void set_bit(Bits* bits, uint64_t at, Bits* count) noexcept {
  const uint64_t bit = uint64_t{1} << (at % 64);
  if ((bits[at / 64].fetch_or(bit, std::memory_order_acq_rel) & bit) == 0) count->fetch_add(1);
}

void clear_bit(Bits* bits, uint64_t at, Bits* count) noexcept {
  const uint64_t bit = uint64_t{1} << (at % 64);
  if ((bits[at / 64].fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0) count->fetch_sub(1);
}

}  // namespace

Result<std::unique_ptr<SyncRegions>> SyncRegions::create(uint64_t set_bytes, uint64_t sync_region_bytes,
                                                         DirtyLog* log) {
  std::unique_ptr<SyncRegions> regions(new SyncRegions());
  regions->bytes_ = sync_region_bytes;
  regions->count_ = (set_bytes + sync_region_bytes - 1) / sync_region_bytes;
  regions->log_ = log;
  regions->words_size_ = regions->count_ * sizeof(uint32_t);
  regions->bits_size_ = (regions->count_ + 63) / 64 * sizeof(uint64_t);
  regions->words_ = static_cast<std::atomic<uint32_t>*>(map_zeros(regions->words_size_));
  regions->out_of_sync_ = static_cast<std::atomic<uint64_t>*>(map_zeros(regions->bits_size_));
  regions->may_differ_ = static_cast<std::atomic<uint64_t>*>(map_zeros(regions->bits_size_));
  regions->dirty_bits_ = static_cast<std::atomic<uint64_t>*>(map_zeros(regions->bits_size_));
  if (regions->words_ == nullptr || regions->out_of_sync_ == nullptr || regions->may_differ_ == nullptr ||
      regions->dirty_bits_ == nullptr) {
    return Error{ENOMEM, "make the table of sync regions", "", "a larger region_size needs less memory"};
  }
  return regions;
}

SyncRegions::~SyncRegions() {
  if (words_ != nullptr) munmap(words_, words_size_);
  if (out_of_sync_ != nullptr) munmap(out_of_sync_, bits_size_);
  if (may_differ_ != nullptr) munmap(may_differ_, bits_size_);
  if (dirty_bits_ != nullptr) munmap(dirty_bits_, bits_size_);
}

// Counts a write on a dirty sync region; false when it is clean. A write to one that is being cleaned takes
// the flag away: it stays dirty.
bool SyncRegions::count_write(uint64_t at) noexcept {
  uint32_t word = words_[at].load(std::memory_order_acquire);
  while ((word & kDirty) != 0) {
    if (words_[at].compare_exchange_weak(word, (word & ~(kCleaning | kAhead)) + kOneWrite,
                                         std::memory_order_acq_rel))
      return true;
  }
  return false;
}

int SyncRegions::start_write(uint64_t first, uint64_t last, bool* marked) noexcept {
  uint64_t at = first;
  *marked = false;
  while (at <= last) {
    if (count_write(at)) {
      at++;
      continue;
    }
    *marked = true;
    // Clean: the log first, for all that is left of the range, then the words.
    const Range ahead = log_ != nullptr ? worth_marking(at, last) : Range{at, last};
    const int err = log_ != nullptr ? log_->mark(ahead.first, ahead.last) : 0;
    if (err != 0) {
      if (at > first) end_write(first, at - 1);
      return err;
    }
    MutexLock lock(mutex_);
    for (; at <= last; at++) {
      if (count_write(at)) continue;
      if (log_ != nullptr && !log_->dirty(at)) break;  // cleaned since we marked it: mark it again
      words_[at].fetch_add(kDirty + kOneWrite, std::memory_order_acq_rel);
      dirty_bits_[at / 64].fetch_or(uint64_t{1} << (at % 64), std::memory_order_relaxed);
      dirty_.fetch_add(1);
    }
    for (uint64_t near = ahead.first; near <= ahead.last; near++) {
      if (near < first || near > last) dirty_ahead(near);
    }
  }
  return 0;
}

// What to mark for a write to [first, last]: more of its group of 64 when much of that was written, so that a
// writer that goes through it, in any order, waits for the log some ten times and not 64. Never more ahead than
// was written: a start after a crash copies at most twice what it has to.
SyncRegions::Range SyncRegions::worth_marking(uint64_t first, uint64_t last) const noexcept {
  const uint64_t group = first / 64 * 64;
  if (last - group >= 64) return {first, last};
  uint64_t dirty = 0;
  int written = 0;
  int ahead = 0;
  for (uint64_t at = group; at < std::min(group + 64, count_); at++) {
    const uint32_t word = words_[at].load(std::memory_order_relaxed);
    if ((word & kDirty) == 0) continue;
    dirty |= uint64_t{1} << (at - group);
    ((word & kAhead) != 0 ? ahead : written)++;
  }
  if (written < kFewWritten) return {first, last};
  const uint64_t own = (~uint64_t{0} << (first - group)) & (~uint64_t{0} >> (63 - (last - group)));
  Range best{first, last};
  for (unsigned size = 2; size <= 64; size *= 2) {
    const uint64_t begin = (first - group) / size * size;
    const uint64_t block = (size == 64 ? ~uint64_t{0} : (uint64_t{1} << size) - 1) << begin;
    if (ahead + std::popcount(block & ~dirty & ~own) > written) break;
    best.first = std::min(first, group + begin);
    best.last = std::max(last, group + begin + size - 1);
  }
  best.last = std::min(best.last, count_ - 1);
  return best;
}

void SyncRegions::dirty_ahead(uint64_t at) noexcept {
  const uint32_t word = words_[at].load(std::memory_order_acquire);
  if ((word & kDirty) != 0 || !log_->dirty(at)) return;  // the latter: cleaned since we marked it
  words_[at].store((word & ~kTime) | kDirty | kAhead | time_word(), std::memory_order_release);
  dirty_bits_[at / 64].fetch_or(uint64_t{1} << (at % 64), std::memory_order_relaxed);
  dirty_.fetch_add(1);
}

void SyncRegions::end_write(uint64_t first, uint64_t last) noexcept {
  const uint32_t time = time_word();
  for (uint64_t at = first; at <= last; at++) {
    uint32_t word = words_[at].load(std::memory_order_relaxed);
    while (!words_[at].compare_exchange_weak(word, ((word - kOneWrite) & ~kTime) | time,
                                             std::memory_order_acq_rel)) {
    }
  }
}

bool SyncRegions::in_sync(uint64_t sync_region) const noexcept {
  return (out_of_sync_[sync_region / 64].load(std::memory_order_acquire) >> (sync_region % 64) & 1) == 0;
}

bool SyncRegions::may_differ(uint64_t sync_region) const noexcept {
  return (may_differ_[sync_region / 64].load(std::memory_order_acquire) >> (sync_region % 64) & 1) != 0;
}

void SyncRegions::set_in_sync(uint64_t sync_region) noexcept {
  clear_bit(may_differ_, sync_region, &differing_);
  clear_bit(out_of_sync_, sync_region, &not_in_sync_);
}

void SyncRegions::set_not_in_sync(uint64_t sync_region) noexcept {
  set_bit(out_of_sync_, sync_region, &not_in_sync_);
}

void SyncRegions::set_may_differ(uint64_t sync_region) noexcept {
  set_bit(out_of_sync_, sync_region, &not_in_sync_);
  set_bit(may_differ_, sync_region, &differing_);
}

bool SyncRegions::any_may_differ(uint64_t first, uint64_t last) const noexcept {
  if (differing_.load(std::memory_order_acquire) == 0) return false;
  for (uint64_t at = first; at <= last; at++) {
    if (may_differ(at)) return true;
  }
  return false;
}

bool SyncRegions::all_in_sync(uint64_t first, uint64_t last) const noexcept {
  if (not_in_sync_.load(std::memory_order_acquire) == 0) return true;
  for (uint64_t at = first; at <= last; at++) {
    if (!in_sync(at)) return false;
  }
  return true;
}

int64_t SyncRegions::next_bit(const std::atomic<uint64_t>* bits, uint64_t from) const noexcept {
  for (uint64_t at = from; at < count_; at = (at / 64 + 1) * 64) {
    const uint64_t word = bits[at / 64].load(std::memory_order_acquire) >> (at % 64);
    if (word != 0) return static_cast<int64_t>(at + static_cast<uint64_t>(std::countr_zero(word)));
  }
  return -1;
}

int64_t SyncRegions::next_not_in_sync(uint64_t from) const noexcept {
  return not_in_sync_.load() == 0 ? -1 : next_bit(out_of_sync_, from);
}

int64_t SyncRegions::next_dirty(uint64_t from) const noexcept {
  return dirty_.load() == 0 ? -1 : next_bit(dirty_bits_, from);
}

bool SyncRegions::dirty(uint64_t sync_region) const noexcept {
  return (words_[sync_region].load(std::memory_order_acquire) & kDirty) != 0;
}

void SyncRegions::set_dirty_in_memory(uint64_t sync_region) noexcept {
  MutexLock lock(mutex_);
  if ((words_[sync_region].fetch_or(kDirty | time_word(), std::memory_order_acq_rel) & kDirty) != 0) return;
  dirty_bits_[sync_region / 64].fetch_or(uint64_t{1} << (sync_region % 64), std::memory_order_relaxed);
  dirty_.fetch_add(1);
}

SyncMap SyncRegions::map(size_t most) const {
  SyncMap map;
  map.sync_regions = count_;
  map.per_cell = (count_ + most - 1) / most;
  map.cells.assign((count_ + map.per_cell - 1) / map.per_cell, SyncCell::kClean);
  // One step a cell: the rest of a cell that is known need not be looked at.
  const auto paint = [&map](uint64_t at, SyncCell state) {
    map.cells[at / map.per_cell] = state;
    return (at / map.per_cell + 1) * map.per_cell;
  };
  for (int64_t at = next_dirty(0); at >= 0;)
    at = next_dirty(paint(static_cast<uint64_t>(at), SyncCell::kDirty));
  for (int64_t at = next_not_in_sync(0); at >= 0;)
    at = next_not_in_sync(paint(static_cast<uint64_t>(at), SyncCell::kNotInSync));
  return map;
}

std::vector<uint64_t> SyncRegions::start_cleaning(nanos_t idle, size_t most) {
  std::vector<uint64_t> flagged;
  const uint32_t now = time_word();
  int64_t next = next_dirty(clean_from_);
  for (; next >= 0 && flagged.size() < most; next = next_dirty(clean_from_)) {
    const auto at = static_cast<uint64_t>(next);
    clean_from_ = at + 1;
    uint32_t word = words_[at].load(std::memory_order_acquire);
    const nanos_t age = static_cast<nanos_t>((now - word) & kTime) * kTick;
    const bool ready = (word & kWrites) == 0 && age >= idle && in_sync(at);
    if (ready && words_[at].compare_exchange_strong(word, word | kCleaning, std::memory_order_acq_rel))
      flagged.push_back(at);
  }
  if (next < 0) clean_from_ = 0;
  return flagged;
}

int SyncRegions::finish_cleaning(const std::vector<uint64_t>& flagged, bool flushed) {
  bool staged = false;
  {
    MutexLock lock(mutex_);
    for (const uint64_t at : flagged) {
      uint32_t word = words_[at].load(std::memory_order_acquire);
      bool done = false;
      while (flushed && !done && (word & kCleaning) != 0 && (word & kWrites) == 0 && in_sync(at)) {
        done = words_[at].compare_exchange_weak(word, word & ~(kDirty | kCleaning | kAhead),
                                                std::memory_order_acq_rel);
      }
      if (!done) {
        words_[at].fetch_and(~kCleaning, std::memory_order_acq_rel);
        continue;
      }
      dirty_bits_[at / 64].fetch_and(~(uint64_t{1} << (at % 64)), std::memory_order_relaxed);
      dirty_.fetch_sub(1);
      if (log_ != nullptr) log_->stage_clean(at);
      staged = true;
    }
  }
  return staged && log_ != nullptr ? log_->write_clean() : 0;
}

}  // namespace dmiofs
