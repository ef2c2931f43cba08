#include "engine/blocking_io.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "device/device.h"
#include "engine/fallocate_mode.h"
#include "engine/transfer.h"

namespace dmiofs {
namespace {

ssize_t transfer_once(const Io& io) noexcept {
  TransferRest rest = transfer_rest(io);
  const iovec* vectors = rest.vectors != nullptr ? rest.vectors : &rest.single;
  const int count = rest.vectors != nullptr ? static_cast<int>(rest.vector_count) : 1;
  const off_t at = static_cast<off_t>(io.offset + io.done);
  return io.op == IoOp::kRead ? preadv(io.device->fd(), vectors, count, at)
                              : pwritev(io.device->fd(), vectors, count, at);
}

int transfer_all(Io& io) noexcept {
  while (io.done < io.length) {
    const ssize_t moved = transfer_once(io);
    if (moved > 0)
      io.done += static_cast<uint64_t>(moved);
    else if (moved == 0)
      return -EIO;  // past the end
    else if (errno != EINTR && errno != EAGAIN)
      return -errno;
  }
  return 0;
}

}  // namespace

int do_blocking_io(Io& io) noexcept {
  for (;;) {
    int err = 0;
    switch (io.op) {
      case IoOp::kRead:
      case IoOp::kWrite: return transfer_all(io);
      case IoOp::kFlush: err = fdatasync(io.device->fd()); break;
      case IoOp::kDiscard:
      case IoOp::kWriteZeroes:
        err = fallocate(io.device->fd(), fallocate_mode(io.op, *io.device), static_cast<off_t>(io.offset),
                        static_cast<off_t>(io.length));
        break;
    }
    if (err == 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace dmiofs
