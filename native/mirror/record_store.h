// DiskRecordStore: the set's record in two slots after the log. The slot that does not hold the newest
// durable record is written, then the log is flushed: at every moment one slot is whole.
//
//     slot:  newest (durable) | older, or suspect (a store into it failed): the next store goes here
//
// store() is durable when it returns 0. Callers that come while one is writing share the next store, of the
// newest generation among them. A failed store fails all who were part of it; the next caller tries again,
// into the same slot. With `clean` set, the log's bits are brought to stable storage first and their checksum
// goes into the record, so that the next start can tell whether someone else has written the log since.
//
// THREAD SAFETY: thread-safe. LOCK ORDER: mutex_ is a leaf, never held over I/O. OWNERSHIP: shares the
// DiskLog; the DmIo outlives it.
#pragma once

#include <memory>
#include <vector>

#include "base/mutex.h"
#include "mirror/disk_log.h"
#include "mirror/set_record.h"

namespace dmiofs {

class DiskRecordStore final : public SetRecordStore {
 public:
  // Reads both slots; load() says what they hold. `writable` false: store() fails with EROFS.
  static Result<std::shared_ptr<DiskRecordStore>> open(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                                       const LogGeometry& geometry, nanos_t io_timeout,
                                                       bool writable);

  // What open() found.
  const ParsedRecord& load() const { return found_; }

  // The log whose checksum a clean record holds. Before the first store; without one a record is never stored
  // clean.
  void attach(std::shared_ptr<DiskLog> log) { log_ = std::move(log); }

  int store(const SetRecord& record) noexcept override;

  uint64_t durable_generation() const;
  int suspect_slot() const;  // the slot that a failed store may have left torn, -1: none
  const LogGeometry& geometry() const { return geometry_; }

 private:
  DiskRecordStore(const LogGeometry& geometry, std::unique_ptr<LogDevice> device, bool writable);
  int write_slot(size_t length, unsigned slot, bool clean) noexcept;

  const LogGeometry geometry_;
  const bool writable_;
  const std::unique_ptr<LogDevice> device_;
  ParsedRecord found_;
  std::shared_ptr<DiskLog> log_;

  // The writer's alone, while writing_.
  std::vector<uint8_t> out_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<uint8_t> next_ GUARDED_BY(mutex_);  // encoded: the newest that was asked for
  size_t next_length_ GUARDED_BY(mutex_) = 0;
  uint64_t next_generation_ GUARDED_BY(mutex_) = 0;
  bool next_clean_ GUARDED_BY(mutex_) = false;
  uint64_t durable_generation_ GUARDED_BY(mutex_) = 0;
  unsigned durable_slot_ GUARDED_BY(mutex_) = 1;
  int suspect_slot_ GUARDED_BY(mutex_) = -1;
  bool writing_ GUARDED_BY(mutex_) = false;
  uint64_t attempts_ GUARDED_BY(mutex_) = 0;  // ended
  int last_error_ GUARDED_BY(mutex_) = 0;
};

}  // namespace dmiofs
