// DiskLog: the dirty region log on a file or block device, in the kernel's dm-log disk format.
//
//     a sync region:  clean --mark()--> dirty in the image --block written and log flushed--> durably dirty
//                       ^--------------------------- stage_clean() ------------------------------'
//
// - mark() returns 0 only when its sync regions are durably dirty. One caller at a time is the leader: it writes
//   the blocks that changed (4 KiB of bits each, never the whole log) and flushes once, for all who came before it
//   started; those who come meanwhile are the next batch.
// - stage_clean() makes a sync region not durably dirty at once, before its clean bit is written: a mark() that
//   follows writes again, and so wins. Clean bits are written without a flush: losing one costs a copy, never data.
// - A failed write leaves its blocks to be written again, by the next caller that needs the log. Until that
//   succeeds, status() is D (write) or F (flush). A block is not written while an earlier write to the log is late
//   (log_device.h).
//
// THREAD SAFETY: thread-safe. dirty() and a mark() of what is durably dirty are atomic loads. LOCK ORDER:
// mutex_ is a leaf, never held over I/O. OWNERSHIP: shared by the set and its record store; the DmIo outlives
// it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "mirror/dirty_log.h"
#include "mirror/log_device.h"
#include "mirror/log_format.h"

namespace dmiofs {

class DiskLog final : public DirtyLog {
 public:
  struct Options {
    LogGeometry geometry;
    nanos_t io_timeout = 0;
    bool writable = true;       // else what open() would write is not written, and mark() fails with EROFS
    bool all_dirty = false;     // the bits cannot be trusted
    bool all_clean = false;     // a new log of legs that are equal
    std::optional<Uuid> owner;  // whose log it is; none: the mark stays as it is
  };

  // Reads the kernel's part, brings it to its canonical form (kernel: disk_resume) and flushes: what is dirty
  // then is durably dirty.
  static Result<std::shared_ptr<DiskLog>> open(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                               const Options& options);

  int mark(uint64_t first, uint64_t last) noexcept override;
  void stage_clean(uint64_t sync_region) noexcept override;
  int write_clean() noexcept override;
  bool dirty(uint64_t sync_region) const noexcept override;
  uint64_t count_dirty() const noexcept override { return dirty_count_.load(std::memory_order_relaxed); }
  LogStatus status() const noexcept override;

  // Writes what is left to write, flushes, and gives the CRC-32C of header and bits as they are then on the
  // log. For the clean stop: nobody marks.
  int settle(uint32_t* checksum) noexcept;

  std::vector<uint64_t> dirty_sync_regions() const;
  const LogHeader& found() const { return found_; }            // the header as open() found it
  uint32_t found_checksum() const { return found_checksum_; }  // of header and bits as open() found them
  const LogGeometry& geometry() const { return geometry_; }
  uint64_t writes() const { return writes_.load(std::memory_order_relaxed); }  // batches that wrote

 private:
  struct Waiter;
  DiskLog(const Options& options, std::unique_ptr<LogDevice> device);
  Status load(const Options& options);
  bool durably_dirty(uint64_t first, uint64_t last) const noexcept;
  void dirty_in_image(uint64_t first, uint64_t last) noexcept REQUIRES(mutex_);
  void set_pending(uint64_t block) noexcept REQUIRES(mutex_);
  bool take_pending() noexcept REQUIRES(mutex_);
  int commit(bool flush) noexcept REQUIRES(mutex_);
  int write_batch(bool wrote, bool flush, char* failed) noexcept;
  void finish_batch(int err, bool flushed) noexcept REQUIRES(mutex_);

  const LogGeometry geometry_;
  const bool writable_;
  const uint64_t sync_regions_;
  const uint64_t unit_;    // bytes of a block
  const uint64_t blocks_;  // of the kernel's part
  const std::unique_ptr<LogDevice> device_;
  LogHeader found_;
  uint32_t found_checksum_ = 0;

  const std::unique_ptr<std::atomic<uint64_t>[]> durable_;  // a bit a sync region: dirty on stable storage
  std::atomic<uint64_t> dirty_count_{0};                    // of the image
  std::atomic<uint64_t> writes_{0};

  // The leader's alone, while writing_.
  std::vector<uint8_t> written_;     // the blocks as they are being written
  std::vector<uint64_t> in_flight_;  // a bit a block: what the batch writes

  mutable Mutex mutex_;
  std::vector<uint8_t> image_ GUARDED_BY(mutex_);     // the kernel's part as it should be on the log
  std::vector<uint64_t> pending_ GUARDED_BY(mutex_);  // a bit a block: differs from the log, or may
  bool any_pending_ GUARDED_BY(mutex_) = false;
  bool unflushed_ GUARDED_BY(mutex_) = false;
  bool writing_ GUARDED_BY(mutex_) = false;  // there is a leader
  Waiter* gathering_ GUARDED_BY(mutex_) = nullptr;
  Waiter* gathering_last_ GUARDED_BY(mutex_) = nullptr;
  LogStatus status_ GUARDED_BY(mutex_);
};

}  // namespace dmiofs
