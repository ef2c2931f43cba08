#include "mirror/sync_regions.h"

#include <sys/mman.h>

#include <cerrno>

namespace dmiofs {
namespace {

// The word: bit 63 dirty, bit 62 cleaning, bits 48..61 writes in flight, bits 0..47 when the last one ended,
// in milliseconds.
constexpr uint64_t kDirty = uint64_t{1} << 63;
constexpr uint64_t kCleaning = uint64_t{1} << 62;
constexpr uint64_t kOneWrite = uint64_t{1} << 48;
constexpr uint64_t kWrites = uint64_t{0x3fff} << 48;
constexpr uint64_t kTime = kOneWrite - 1;

uint64_t time_word() { return static_cast<uint64_t>(now_nanos() / kNanosPerMilli) & kTime; }

void* map_zeros(size_t size) {
  void* memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

Result<std::unique_ptr<SyncRegions>> SyncRegions::create(uint64_t set_bytes, uint64_t sync_region_bytes,
                                                         DirtyLog* log) {
  std::unique_ptr<SyncRegions> regions(new SyncRegions());
  regions->bytes_ = sync_region_bytes;
  regions->count_ = (set_bytes + sync_region_bytes - 1) / sync_region_bytes;
  regions->log_ = log;
  regions->words_size_ = regions->count_ * sizeof(uint64_t);
  regions->bits_size_ = (regions->count_ + 63) / 64 * sizeof(uint64_t);
  regions->words_ = static_cast<std::atomic<uint64_t>*>(map_zeros(regions->words_size_));
  regions->out_of_sync_ = static_cast<std::atomic<uint64_t>*>(map_zeros(regions->bits_size_));
  if (regions->words_ == nullptr || regions->out_of_sync_ == nullptr) {
    return Error{ENOMEM, "make the table of sync regions", "", "a larger region_size needs less memory"};
  }
  return regions;
}

SyncRegions::~SyncRegions() {
  if (words_ != nullptr) munmap(words_, words_size_);
  if (out_of_sync_ != nullptr) munmap(out_of_sync_, bits_size_);
}

// Counts a write on a dirty sync region; false when it is clean. A write to one that is being cleaned takes
// the flag away: it stays dirty.
bool SyncRegions::count_write(uint64_t at) noexcept {
  uint64_t word = words_[at].load(std::memory_order_acquire);
  while ((word & kDirty) != 0) {
    if (words_[at].compare_exchange_weak(word, (word & ~kCleaning) + kOneWrite, std::memory_order_acq_rel))
      return true;
  }
  return false;
}

int SyncRegions::start_write(uint64_t first, uint64_t last) noexcept {
  uint64_t at = first;
  while (at <= last) {
    if (count_write(at)) {
      at++;
      continue;
    }
    // Clean: the log first, for all that is left of the range, then the words.
    const int err = log_ != nullptr ? log_->mark(at, last) : 0;
    if (err != 0) {
      if (at > first) end_write(first, at - 1);
      return err;
    }
    MutexLock lock(mutex_);
    for (; at <= last; at++) {
      if (count_write(at)) continue;
      if (log_ != nullptr && !log_->dirty(at)) break;  // cleaned since we marked it: mark it again
      words_[at].fetch_add(kDirty + kOneWrite, std::memory_order_acq_rel);
      dirty_.fetch_add(1, std::memory_order_relaxed);
      dirty_list_.push_back(at);
    }
  }
  return 0;
}

void SyncRegions::end_write(uint64_t first, uint64_t last) noexcept {
  const uint64_t time = time_word();
  for (uint64_t at = first; at <= last; at++) {
    uint64_t word = words_[at].load(std::memory_order_relaxed);
    while (!words_[at].compare_exchange_weak(word, ((word - kOneWrite) & ~kTime) | time,
                                             std::memory_order_acq_rel)) {
    }
  }
}

bool SyncRegions::in_sync(uint64_t sync_region) const noexcept {
  return (out_of_sync_[sync_region / 64].load(std::memory_order_acquire) >> (sync_region % 64) & 1) == 0;
}

void SyncRegions::set_in_sync(uint64_t sync_region, bool in_sync) noexcept {
  const uint64_t bit = uint64_t{1} << (sync_region % 64);
  std::atomic<uint64_t>& word = out_of_sync_[sync_region / 64];
  if (in_sync) {
    if ((word.fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0)
      not_in_sync_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    if ((word.fetch_or(bit, std::memory_order_acq_rel) & bit) == 0)
      not_in_sync_.fetch_add(1, std::memory_order_relaxed);
  }
}

int64_t SyncRegions::next_not_in_sync(uint64_t from) const noexcept {
  if (not_in_sync_.load(std::memory_order_relaxed) == 0) return -1;
  uint64_t at = from;
  while (at < count_) {
    const uint64_t word = out_of_sync_[at / 64].load(std::memory_order_acquire) >> (at % 64);
    if (word != 0) {
      at += static_cast<uint64_t>(__builtin_ctzll(word));
      return at < count_ ? static_cast<int64_t>(at) : -1;
    }
    at = (at / 64 + 1) * 64;
  }
  return -1;
}

bool SyncRegions::dirty(uint64_t sync_region) const noexcept {
  return (words_[sync_region].load(std::memory_order_acquire) & kDirty) != 0;
}

void SyncRegions::set_dirty_in_memory(uint64_t sync_region) noexcept {
  MutexLock lock(mutex_);
  if ((words_[sync_region].fetch_or(kDirty | time_word(), std::memory_order_acq_rel) & kDirty) != 0) return;
  dirty_.fetch_add(1, std::memory_order_relaxed);
  dirty_list_.push_back(sync_region);
}

std::vector<uint64_t> SyncRegions::start_cleaning(nanos_t idle_before, size_t most) {
  const uint64_t before = static_cast<uint64_t>(idle_before / kNanosPerMilli) & kTime;
  std::vector<uint64_t> flagged;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < dirty_list_.size() && flagged.size() < most;) {
    const uint64_t at = dirty_list_[i];
    uint64_t word = words_[at].load(std::memory_order_acquire);
    const bool idle = (word & kWrites) == 0 && (word & kTime) <= before && in_sync(at);
    if (!idle || !words_[at].compare_exchange_strong(word, word | kCleaning, std::memory_order_acq_rel)) {
      i++;
      continue;
    }
    flagged.push_back(at);
    dirty_list_[i] = dirty_list_.back();
    dirty_list_.pop_back();
  }
  return flagged;
}

int SyncRegions::finish_cleaning(const std::vector<uint64_t>& flagged, bool flushed) {
  bool staged = false;
  {
    MutexLock lock(mutex_);
    for (const uint64_t at : flagged) {
      uint64_t word = words_[at].load(std::memory_order_acquire);
      bool done = false;
      while (flushed && (word & kCleaning) != 0 && (word & kWrites) == 0 && in_sync(at)) {
        if (words_[at].compare_exchange_weak(word, word & ~(kDirty | kCleaning), std::memory_order_acq_rel)) {
          done = true;
          break;
        }
      }
      if (done) {
        dirty_.fetch_sub(1, std::memory_order_relaxed);
        if (log_ != nullptr) log_->stage_clean(at);
        staged = true;
      } else {
        words_[at].fetch_and(~kCleaning, std::memory_order_acq_rel);
        dirty_list_.push_back(at);
      }
    }
  }
  return staged && log_ != nullptr ? log_->write_clean() : 0;
}

}  // namespace dmiofs
