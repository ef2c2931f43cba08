// The uring engine: a ring a queue; submit and wait are one system call. The only file that includes
// liburing.h.
#include <cerrno>

#include "engine/engine.h"

#if !DMIOFS_HAVE_LIBURING

namespace dmiofs {
Result<std::shared_ptr<Engine>> make_uring_engine() {
  return Error{ENOSYS, "io_uring", "",
               "built without liburing: install liburing-dev and run scripts/setup again"};
}
}  // namespace dmiofs

#else

#include <liburing.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "base/unique_fd.h"
#include "device/device.h"
#include "engine/fallocate_mode.h"
#include "engine/transfer.h"

namespace dmiofs {
namespace {

constexpr unsigned kMaxDepth = 4096;

class UringQueue final : public IoQueue {
 public:
  ~UringQueue() override {
    if (ring_open_) io_uring_queue_exit(&ring_);
  }

  Status open(unsigned depth) {
    depth_ = std::min(depth, kMaxDepth);
    wake_fd_.reset(eventfd(0, EFD_CLOEXEC));
    if (!wake_fd_.valid()) return Error{errno, "eventfd", "", ""};
    // Completions need no interrupt of their own: the owner comes for them (COOP_TASKRUN, Linux 5.19).
    int err = io_uring_queue_init(depth_ + 1, &ring_, IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN);
    if (err == -EINVAL) err = io_uring_queue_init(depth_ + 1, &ring_, IORING_SETUP_CLAMP);
    if (err < 0) return Error{-err, "io_uring_setup", "", ""};
    ring_open_ = true;
    if ((ring_.features & IORING_FEAT_EXT_ARG) == 0)
      return Error{ENOSYS, "io_uring", "", "Linux 5.11 or later is needed"};
    arm_wake();
    return ok_status();
  }

  void queue(Io* io) noexcept override {
    io->done = 0;
    in_flight_++;
    if (waiting_head_ != nullptr || !prepare(io)) push_waiting(io);
  }

  void submit() noexcept override {
    while (io_uring_sq_ready(&ring_) > 0) {
      const int err = io_uring_submit(&ring_);
      if (err >= 0) continue;
      if (err == -EINTR) continue;
      // -EAGAIN, -EBUSY: no memory or a full completion ring; what has ended makes room.
      if (take_completions() == 0) io_uring_submit_and_wait(&ring_, 1);
    }
  }

  unsigned reap(nanos_t deadline) noexcept override {
    unsigned completed = take_completions();
    while (completed == 0 && !woken_) {
      int err;
      if (deadline == kNoDeadline) {
        err = io_uring_submit_and_wait(&ring_, 1);
      } else {
        const nanos_t left = std::max<nanos_t>(0, deadline - now_nanos());
        __kernel_timespec ts = {left / kNanosPerSecond, left % kNanosPerSecond};
        io_uring_cqe* cqe = nullptr;
        err = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &ts, nullptr);
      }
      completed = take_completions();
      if (err == -ETIME) break;
      if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY) break;
      if (deadline != kNoDeadline && completed == 0 && now_nanos() >= deadline) break;
    }
    if (io_uring_sq_ready(&ring_) > 0) submit();
    woken_ = false;
    return completed;
  }

  void wake() noexcept override {
    const uint64_t one = 1;
    (void)!::write(wake_fd_.get(), &one, sizeof one);
  }

  unsigned in_flight() const noexcept override { return in_flight_; }

 private:
  void arm_wake() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) return;
    }
    io_uring_prep_read(sqe, wake_fd_.get(), &wake_count_, sizeof wake_count_, 0);
    io_uring_sqe_set_data(sqe, nullptr);
    io_uring_submit(&ring_);
  }

  // False when the ring holds as many as it was made for.
  bool prepare(Io* io) noexcept {
    if (in_kernel_ >= depth_) return false;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      submit();
      sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) return false;
    }
    const int fd = io->device->fd();
    switch (io->op) {
      case IoOp::kRead: {
        const TransferRest rest = transfer_rest(*io);
        if (rest.vectors != nullptr)
          io_uring_prep_readv(sqe, fd, rest.vectors, rest.vector_count, io->offset + io->done);
        else
          io_uring_prep_read(sqe, fd, rest.single.iov_base, rest.single.iov_len, io->offset + io->done);
        break;
      }
      case IoOp::kWrite: {
        const TransferRest rest = transfer_rest(*io);
        if (rest.vectors != nullptr)
          io_uring_prep_writev(sqe, fd, rest.vectors, rest.vector_count, io->offset + io->done);
        else
          io_uring_prep_write(sqe, fd, rest.single.iov_base, rest.single.iov_len, io->offset + io->done);
        break;
      }
      case IoOp::kFlush: io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); break;
      case IoOp::kDiscard:
      case IoOp::kWriteZeroes:
        io_uring_prep_fallocate(sqe, fd, fallocate_mode(io->op, *io->device), static_cast<off_t>(io->offset),
                                static_cast<off_t>(io->length));
        break;
    }
    io_uring_sqe_set_data(sqe, io);
    in_kernel_++;
    return true;
  }

  void push_waiting(Io* io) noexcept {
    io->next = nullptr;
    *(waiting_head_ == nullptr ? &waiting_head_ : &waiting_tail_->next) = io;
    waiting_tail_ = io;
  }

  void start_waiting() noexcept {
    while (waiting_head_ != nullptr) {
      Io* io = waiting_head_;
      if (!prepare(io)) return;
      waiting_head_ = io->next;
    }
  }

  // Whether the Io has ended, with its result set; else the rest of it is still to be transferred.
  static bool settle(Io* io, int res) noexcept {
    const bool transfer = io->op == IoOp::kRead || io->op == IoOp::kWrite;
    if (res < 0 || !transfer) {
      io->result = std::min(res, 0);
      return true;
    }
    if (res == 0) {
      io->result = -EIO;  // past the end
      return true;
    }
    io->done += static_cast<uint64_t>(res);
    io->result = 0;
    return io->done >= io->length;
  }

  unsigned take_completions() noexcept {
    unsigned completed = 0;
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
      Io* io = static_cast<Io*>(io_uring_cqe_get_data(cqe));
      const int res = cqe->res;
      io_uring_cqe_seen(&ring_, cqe);
      if (io == nullptr) {
        woken_ = true;
        arm_wake();
        continue;
      }
      in_kernel_--;
      const bool again = res == -EINTR || res == -EAGAIN;
      if (again || !settle(io, res)) {
        if (!prepare(io)) push_waiting(io);
        continue;
      }
      in_flight_--;
      completed++;
      io->on_complete(io);
      cqe = nullptr;
    }
    start_waiting();
    return completed;
  }

  io_uring ring_ = {};
  bool ring_open_ = false;
  unsigned depth_ = 0;
  unsigned in_kernel_ = 0;
  unsigned in_flight_ = 0;
  Io* waiting_head_ = nullptr;
  Io* waiting_tail_ = nullptr;
  bool woken_ = false;
  UniqueFd wake_fd_;
  uint64_t wake_count_ = 0;
};

class UringEngine final : public Engine {
 public:
  const char* name() const noexcept override { return "uring"; }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned depth) override {
    auto queue = std::make_unique<UringQueue>();
    if (auto opened = queue->open(depth); !opened.ok()) return opened.error();
    return std::unique_ptr<IoQueue>(std::move(queue));
  }
};

}  // namespace

Result<std::shared_ptr<Engine>> make_uring_engine() {
  auto engine = std::make_shared<UringEngine>();
  auto trial = engine->open_queue(1);  // whether this kernel and this container permit it
  if (!trial.ok()) return trial.error();
  return std::shared_ptr<Engine>(std::move(engine));
}

}  // namespace dmiofs

#endif
