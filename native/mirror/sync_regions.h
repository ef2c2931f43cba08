// SyncRegions: the state of each sync region in memory (kernel: dm-region-hash).
//
//     may differ   in-sync legs may differ, after an unclean stop or a write that all of them failed: read from
//                  the source leg only, until it was copied from there to all others
//     not in sync  a rebuilding leg has not got it: read from an in-sync leg, until it was copied to that leg.
//                  What may differ is not in sync
//     in sync      every leg in use holds the same
//     dirty        writes are in flight or were since it was last cleaned; its bit in the log is clear
//     clean        not dirty: a write must make it dirty on stable storage first
//
// Where several of 64 neighbours were written, a write that needs the log marks some of the others ahead, at most
// as many as were written.
//
// A word a sync region: dirty flag, cleaning flag, writes in flight, when the last one ended. A write to a
// dirty sync region touches this word only.
//
// THREAD SAFETY: thread-safe; words and bits are atomics, `mutex_` guards the step between clean and dirty.
// LOCK ORDER: below the set's state mutex, above the log's; not held over I/O. OWNERSHIP: words and bits are
// mapped memory that costs nothing until touched (a set of 8 TiB has 16 million sync regions).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "mirror/dirty_log.h"
#include "mirror/sync_map.h"

namespace dmiofs {

class SyncRegions {
 public:
  // `log` may be null. All start in sync and clean.
  static Result<std::unique_ptr<SyncRegions>> create(uint64_t set_bytes, uint64_t sync_region_bytes,
                                                     DirtyLog* log);
  ~SyncRegions();
  SyncRegions(const SyncRegions&) = delete;
  SyncRegions& operator=(const SyncRegions&) = delete;

  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t of(uint64_t offset) const { return offset / bytes_; }

  // Around a write to sync regions [first, last], under the range lock. start_write returns 0 when all are
  // dirty on stable storage, or -errno of the log. `*marked`: whether the log was needed.
  int start_write(uint64_t first, uint64_t last, bool* marked) noexcept;
  void end_write(uint64_t first, uint64_t last) noexcept;
  // Before writes to many sync regions, one after the other: dirty in the log now, so that none of them waits
  // for it. 0 or -errno of the log.
  int mark_log(uint64_t first, uint64_t last) noexcept {
    return log_ == nullptr ? 0 : log_->mark(first, last);
  }

  bool in_sync(uint64_t sync_region) const noexcept;
  bool all_in_sync(uint64_t first, uint64_t last) const noexcept;
  void set_in_sync(uint64_t sync_region) noexcept;
  void set_not_in_sync(uint64_t sync_region) noexcept;
  void set_may_differ(uint64_t sync_region) noexcept;
  bool may_differ(uint64_t sync_region) const noexcept;
  bool any_may_differ(uint64_t first, uint64_t last) const noexcept;
  uint64_t may_differ_count() const { return differing_.load(); }
  uint64_t in_sync_count() const { return count_ - not_in_sync_.load(); }
  int64_t next_not_in_sync(uint64_t from) const noexcept;  // -1: none

  bool dirty(uint64_t sync_region) const noexcept;
  int64_t next_dirty(uint64_t from) const noexcept;         // -1: none
  void set_dirty_in_memory(uint64_t sync_region) noexcept;  // what the log said at the start
  uint64_t dirty_count() const { return dirty_.load(); }

  // All sync regions in at most `most` (> 0) cells, each of the worst state in it.
  SyncMap map(size_t most) const;

  // Lazy cleaning, by one thread: collects up to `most` sync regions that are in sync and have been idle for
  // `idle`, and flags them; the caller then flushes all legs and hands them to finish_cleaning, which cleans
  // those that no write has touched meanwhile. 0, or -errno of the log.
  std::vector<uint64_t> start_cleaning(nanos_t idle, size_t most);
  int finish_cleaning(const std::vector<uint64_t>& flagged, bool flushed);

 private:
  SyncRegions() = default;
  struct Range {
    uint64_t first;
    uint64_t last;
  };
  bool count_write(uint64_t at) noexcept;
  Range worth_marking(uint64_t first, uint64_t last) const noexcept;
  void dirty_ahead(uint64_t at) noexcept REQUIRES(mutex_);
  int64_t next_bit(const std::atomic<uint64_t>* bits, uint64_t from) const noexcept;

  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
  DirtyLog* log_ = nullptr;
  std::atomic<uint32_t>* words_ = nullptr;
  std::atomic<uint64_t>* out_of_sync_ = nullptr;  // a bit a sync region
  std::atomic<uint64_t>* may_differ_ = nullptr;   // as many
  std::atomic<uint64_t>* dirty_bits_ =
      nullptr;  // the words' dirty flags, to search; changed with `mutex_` held
  size_t words_size_ = 0;
  size_t bits_size_ = 0;
  std::atomic<uint64_t> not_in_sync_{0};
  std::atomic<uint64_t> differing_{0};
  std::atomic<uint64_t> dirty_{0};
  Mutex mutex_;
  uint64_t clean_from_ = 0;  // where the next start_cleaning begins; the cleaning thread's own
};

}  // namespace dmiofs
