// LogDevice: reads, writes and flushes of one log's bytes through dm-io, one at a time, with a deadline.
//
// It has a transfer buffer of its own, apart from the data path's: a writer that waits for the log holds a
// data buffer, so the log must never wait for one.
//
//     ready --I/O does not end in time--> late --it has ended--> ready
//
// While late I/O is out, everything fails at once with -ETIMEDOUT: it may still land, and must not land on
// top of something newer.
//
// THREAD SAFETY: none but late(); its owner (DiskLog, DiskRecordStore) has one caller at a time. LOCK ORDER:
// no lock is held by a caller. OWNERSHIP: of its buffer; shares the device. The DmIo outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dmio/dm_io.h"
#include "dmio/request_slot.h"

namespace dmiofs {

class LogDevice {
 public:
  // `io_timeout`: nanoseconds for each call, 0 = for ever. `buffer_bytes`: the most that one I/O moves.
  static Result<std::unique_ptr<LogDevice>> create(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                                   size_t buffer_bytes, nanos_t io_timeout);

  // `offset` and the length are multiples of the device's logical block. 0 or -errno; after an error any part
  // may have been moved.
  int read(uint64_t offset, std::span<uint8_t> to) noexcept;
  int write(uint64_t offset, std::span<const uint8_t> from) noexcept;
  int flush() noexcept;

  bool late() const noexcept { return buffers_->late() > 0; }
  const DeviceInfo& info() const { return where_.bdev->info(); }
  const std::shared_ptr<Device>& bdev() const { return where_.bdev; }

 private:
  LogDevice(DmIo& dm_io, IoRegion where, std::shared_ptr<BufferPool> buffers, size_t buffer_bytes,
            nanos_t io_timeout);
  int run(IoOp op, uint64_t offset, uint8_t* to, const uint8_t* from, size_t length,
          nanos_t deadline) noexcept;
  nanos_t deadline() const { return io_timeout_ == 0 ? kNoDeadline : now_nanos() + io_timeout_; }

  DmIo& dm_io_;
  const IoRegion where_;
  const std::shared_ptr<BufferPool> buffers_;
  const size_t buffer_bytes_;
  const nanos_t io_timeout_;
};

}  // namespace dmiofs
