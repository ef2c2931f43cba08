// The uring engine: a ring a queue; submit and wait are one system call. The only file that includes
// liburing.h.
//
// Files in memory: io_uring would hand each of their transfers to a kernel thread, two thread switches for a copy
// of a few KiB. Small ones, and flushes, are done at once, by the thread that submits; of large ones the last,
// since the thread has nothing else to do but wait for them.
//
// What a hung device does: an Io that the kernel had to hand to a kernel thread of its own (a flush, a
// zeroing, a transfer that found no free tag) belongs to the thread that submitted it, and that thread's exit
// waits for the device.
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
#include <time.h>

#include <algorithm>
#include <utility>

#include "base/unique_fd.h"
#include "device/device.h"
#include "engine/blocking_io.h"
#include "engine/fallocate_mode.h"
#include "engine/io_list.h"
#include "engine/transfer.h"

namespace dmiofs {
namespace {

constexpr unsigned kMaxDepth = 4096;
constexpr uint64_t kMostInMemory = 128 * 1024;  // bytes that are copied while the others wait

class UringQueue final : public IoQueue {
 public:
  ~UringQueue() override {
    if (ring_open_) io_uring_queue_exit(&ring_);
  }

  Status open(unsigned depth) {
    depth_ = std::clamp(depth, 1u, kMaxDepth);
    wake_fd_.reset(eventfd(0, EFD_CLOEXEC));
    if (!wake_fd_.valid()) return Error{errno, "eventfd", "", ""};
    // Completions need no interrupt of their own: the owner comes for them (COOP_TASKRUN, Linux 5.19).
    int err = io_uring_queue_init(depth_ + 1, &ring_, IORING_SETUP_COOP_TASKRUN);
    if (err == -EINVAL) err = io_uring_queue_init(depth_ + 1, &ring_, 0);
    if (err < 0) return Error{-err, "io_uring_setup", "", ""};
    ring_open_ = true;
    // Linux 5.11: waiting with a timeout in one call. Every operation used here is older.
    if ((ring_.features & IORING_FEAT_EXT_ARG) == 0)
      return Error{ENOSYS, "io_uring", "", "Linux 5.11 or later is needed"};
    io_uring_ring_dontfork(&ring_);  // a forked child has no business with it
    return ok_status();
  }

  void queue(Io* io) noexcept override {
    io->done = 0;
    in_flight_++;
    if (io->device->info().in_memory) {
      if (runs_at_once(*io)) {
        at_once_.push_back(io);
        return;
      }
      if (carries_data(io->op) && (io = std::exchange(last_large_, io)) == nullptr) return;
    }
    if (!waiting_.empty() || !prepare(io)) waiting_.push_back(io);
  }

  void submit() noexcept override {
    hand_over();
    run_at_once();
  }

  unsigned reap(nanos_t deadline) noexcept override {
    unsigned completed = take_completions();
    if (completed > 0 || woken_ || has_at_once()) {
      hand_over();
      completed += run_at_once();
    }
    while (completed == 0 && !woken_) {
      if (!wake_armed_) arm_wake();
      enter(1, deadline);
      completed = take_completions();
      if (deadline != kNoDeadline && now_nanos() >= deadline) break;
    }
    woken_ = false;
    return completed;
  }

  unsigned drain(nanos_t deadline) noexcept override {
    unsigned completed = take_completions();
    while (in_flight_ > 0) {
      if (has_at_once()) {
        hand_over();
        completed += run_at_once();
        continue;
      }
      enter(in_kernel_, deadline);
      completed += take_completions();
      if (deadline != kNoDeadline && now_nanos() >= deadline) break;
    }
    return completed;
  }

  void wake() noexcept override {
    const uint64_t one = 1;
    (void)!::write(wake_fd_.get(), &one, sizeof one);
  }

  unsigned in_flight() const noexcept override { return in_flight_; }

 private:
  void hand_over() noexcept {
    while (io_uring_sq_ready(&ring_) > 0) {
      const int err = io_uring_submit(&ring_);
      if (err < 0 && err != -EINTR && take_completions() == 0) pause_briefly();
    }
  }

  static bool runs_at_once(const Io& io) noexcept {
    return io.op == IoOp::kFlush || (carries_data(io.op) && io.length <= kMostInMemory);
  }

  bool has_at_once() const noexcept { return !at_once_.empty() || last_large_ != nullptr; }

  // Those that are there now: on_complete may queue more.
  unsigned run_at_once() noexcept {
    unsigned completed = 0;
    if (Io* io = std::exchange(last_large_, nullptr)) at_once_.push_back(io);
    for (Io* io = at_once_.take_all(); io != nullptr;) {
      Io* const following = io->next;
      io->result = do_blocking_io(*io);
      in_flight_--;
      completed++;
      io->on_complete(io);
      io = following;
    }
    return completed;
  }

  // One system call: hands over what is prepared and waits until `want` completions are there or the deadline
  // has passed.
  void enter(unsigned want, nanos_t deadline) noexcept {
    int err;
    if (deadline == kNoDeadline) {
      err = io_uring_submit_and_wait(&ring_, want);
    } else {
      const nanos_t left = std::max<nanos_t>(0, deadline - now_nanos());
      __kernel_timespec timeout = {left / kNanosPerSecond, left % kNanosPerSecond};
      io_uring_cqe* cqe = nullptr;
      err = io_uring_submit_and_wait_timeout(&ring_, &cqe, want, &timeout, nullptr);
    }
    // No memory (EAGAIN) or no room for completions (EBUSY) for now: what has ended makes room.
    if (err < 0 && err != -ETIME && err != -EINTR && io_uring_cq_ready(&ring_) == 0) pause_briefly();
  }

  static void pause_briefly() noexcept {
    const timespec pause = {0, 100'000};
    nanosleep(&pause, nullptr);
  }

  // The kernel runs the eventfd's read as work of the thread that armed it: so the owner arms it, when it
  // first waits, and not whoever opened the queue and may be busy with something else when the wake comes. It
  // goes out with the next enter().
  void arm_wake() noexcept {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);  // one entry more than `depth_`: there is one
    if (sqe == nullptr) return;
    io_uring_prep_read(sqe, wake_fd_.get(), &wake_count_, sizeof wake_count_, 0);
    io_uring_sqe_set_data(sqe, nullptr);
    wake_armed_ = true;
  }

  // False when the ring holds as many as it was made for.
  bool prepare(Io* io) noexcept {
    if (in_kernel_ >= depth_) return false;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    const int fd = io->device->fd();
    switch (io->op) {
      case IoOp::kRead:
      case IoOp::kWrite: prepare_transfer(sqe, *io); break;
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

  static void prepare_transfer(io_uring_sqe* sqe, const Io& io) noexcept {
    const TransferRest rest = transfer_rest(io);
    const int fd = io.device->fd();
    const uint64_t at = io.offset + io.done;
    const bool read = io.op == IoOp::kRead;
    if (rest.vectors != nullptr) {
      if (read)
        io_uring_prep_readv(sqe, fd, rest.vectors, rest.vector_count, at);
      else
        io_uring_prep_writev(sqe, fd, rest.vectors, rest.vector_count, at);
    } else {
      const auto length = static_cast<unsigned>(rest.single.iov_len);
      if (read)
        io_uring_prep_read(sqe, fd, rest.single.iov_base, length, at);
      else
        io_uring_prep_write(sqe, fd, rest.single.iov_base, length, at);
    }
  }

  void start_waiting() noexcept {
    while (!waiting_.empty() && prepare(waiting_.front())) waiting_.pop_front();
  }

  // Whether the Io has ended, with its result set; else the rest of it is still to be transferred.
  static bool settle(Io* io, int res) noexcept {
    if (res < 0 || !carries_data(io->op)) {
      io->result = std::min(res, 0);
      return true;
    }
    if (res == 0 && io->length > 0) {
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
        wake_armed_ = false;
        continue;
      }
      in_kernel_--;
      const bool again = res == -EINTR || res == -EAGAIN;
      if (again || !settle(io, res)) {
        if (!prepare(io)) waiting_.push_back(io);
        continue;
      }
      in_flight_--;
      completed++;
      io->on_complete(io);
    }
    start_waiting();
    return completed;
  }

  io_uring ring_ = {};
  bool ring_open_ = false;
  unsigned depth_ = 0;
  unsigned in_kernel_ = 0;
  unsigned in_flight_ = 0;
  IoList waiting_;
  IoList at_once_;
  Io* last_large_ = nullptr;  // the large transfer in memory that was queued last, not yet begun
  bool woken_ = false;
  bool wake_armed_ = false;
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
