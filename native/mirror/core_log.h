// CoreLog: a dirty region log in memory only (kernel: the "core" log). For a set without a log: nothing
// survives, a start copies everything.
//
// THREAD SAFETY: thread-safe, atomics. LOCK ORDER: none.
#pragma once

#include <atomic>
#include <memory>

#include "mirror/dirty_log.h"

namespace dmiofs {

class CoreLog final : public DirtyLog {
 public:
  // All start clean, or all dirty.
  CoreLog(uint64_t sync_regions, bool dirty);

  int mark(uint64_t first, uint64_t last) noexcept override;
  void stage_clean(uint64_t sync_region) noexcept override;
  int write_clean() noexcept override { return 0; }
  bool dirty(uint64_t sync_region) const noexcept override;
  uint64_t count_dirty() const noexcept override { return dirty_count_.load(std::memory_order_relaxed); }

 private:
  const std::unique_ptr<std::atomic<uint64_t>[]> dirty_;  // a bit a sync region
  std::atomic<uint64_t> dirty_count_{0};
};

}  // namespace dmiofs
