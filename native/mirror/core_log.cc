#include "mirror/core_log.h"

namespace dmiofs {

CoreLog::CoreLog(uint64_t sync_regions, bool dirty)
    : dirty_(std::make_unique<std::atomic<uint64_t>[]>((sync_regions + 63) / 64)) {
  if (dirty && sync_regions > 0) mark(0, sync_regions - 1);
}

int CoreLog::mark(uint64_t first, uint64_t last) noexcept {
  for (uint64_t at = first; at <= last; at++) {
    const uint64_t bit = uint64_t{1} << (at % 64);
    std::atomic<uint64_t>& word = dirty_[at / 64];
    if ((word.load(std::memory_order_acquire) & bit) != 0) continue;
    if ((word.fetch_or(bit, std::memory_order_acq_rel) & bit) == 0)
      dirty_count_.fetch_add(1, std::memory_order_relaxed);
  }
  return 0;
}

void CoreLog::stage_clean(uint64_t sync_region) noexcept {
  const uint64_t bit = uint64_t{1} << (sync_region % 64);
  if ((dirty_[sync_region / 64].fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0) {
    dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  }
}

bool CoreLog::dirty(uint64_t sync_region) const noexcept {
  return (dirty_[sync_region / 64].load(std::memory_order_acquire) >> (sync_region % 64) & 1) != 0;
}

}  // namespace dmiofs
