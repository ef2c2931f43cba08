#include "mirror/log_device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/stage_times.h"

namespace dmiofs {

LogDevice::LogDevice(DmIo& dm_io, IoRegion where, std::shared_ptr<BufferPool> buffers, size_t buffer_bytes,
                     nanos_t io_timeout)
    : dm_io_(dm_io),
      where_(std::move(where)),
      buffers_(std::move(buffers)),
      buffer_bytes_(buffer_bytes),
      io_timeout_(io_timeout) {}

Result<std::unique_ptr<LogDevice>> LogDevice::create(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                                     size_t buffer_bytes, nanos_t io_timeout) {
  auto buffers = BufferPool::create({{buffer_bytes, 1}});
  if (!buffers.ok()) return buffers.error();
  const sector_t count = sectors_of(bdev->info().size_bytes);
  return std::unique_ptr<LogDevice>(
      new LogDevice(dm_io, IoRegion{std::move(bdev), 0, count}, buffers.take(), buffer_bytes, io_timeout));
}

int LogDevice::run(IoOp op, uint64_t offset, uint8_t* to, const uint8_t* from, size_t length,
                   nanos_t until) noexcept {
  if (late()) return -ETIMEDOUT;
  BufferRef buffer = buffers_->acquire(length);
  if (from != nullptr) std::memcpy(buffer.data(), from, length);
  DmIoResult result;
  const StageTimes::Inner part_of_a_stage;  // of the write that waits for the log
  dm_io_.run(buffer, op, std::span(&where_, 1), 0, offset, length, 0, until, &result);
  if (result.errnos[0] == 0 && to != nullptr) std::memcpy(to, buffer.data(), length);
  return result.errnos[0];
}

int LogDevice::read(uint64_t offset, std::span<uint8_t> to) noexcept {
  const nanos_t until = deadline();
  for (size_t at = 0; at < to.size(); at += buffer_bytes_) {
    const size_t piece = std::min(buffer_bytes_, to.size() - at);
    if (const int err = run(IoOp::kRead, offset + at, to.data() + at, nullptr, piece, until); err != 0)
      return err;
  }
  return 0;
}

int LogDevice::write(uint64_t offset, std::span<const uint8_t> from) noexcept {
  const nanos_t until = deadline();
  for (size_t at = 0; at < from.size(); at += buffer_bytes_) {
    const size_t piece = std::min(buffer_bytes_, from.size() - at);
    if (const int err = run(IoOp::kWrite, offset + at, nullptr, from.data() + at, piece, until); err != 0)
      return err;
  }
  return 0;
}

int LogDevice::flush() noexcept { return run(IoOp::kFlush, 0, nullptr, nullptr, 0, deadline()); }

}  // namespace dmiofs
