// Engine: how I/O reaches devices. Engines: uring, threads, null (no device), fault (wraps another).
//
// An Engine hands out IoQueues. A queue is a submission and completion context with one owner at a time: the
// thread that leased it (engine/lease.h). A synchronous caller (a FUSE worker) leases a queue, queues its
// Ios, submits them in one go, reaps until its request has ended or its deadline passed, and gives the queue
// back. The asynchronous side of dm-io (dmio/async_worker.h) owns one queue on a thread of its own.
//
//     IoQueue:  idle --queue()--> has queued Ios --submit()--> has Ios in flight --reap()--> idle
//
// CONTRACT of every engine
// - An Io is whole or failed: short transfers, EINTR and EAGAIN are settled inside; `result` is 0 or a
// negative errno.
//   A read past the device's end is -EIO (an I/O region never lies there).
// - `on_complete` runs exactly once for each queued Io, from within submit() or reap() of the thread that
// owns the queue,
//   never from within queue(), with no engine lock held. It may queue() further Ios on the same queue; they
//   go out with the next submit() or reap(). After on_complete was called the engine does not touch the Io
//   again.
// - The Io, its iovec array and its memory belong to the engine from queue() until on_complete runs. There is
// no cancel:
//   who no longer wants to wait leaves queue and memory behind (a lease that ends with I/O in flight).
// - No ordering between Ios. A flush covers the writes that had completed before it was queued.
// - Nothing here allocates once a queue is open.
//
// THREAD SAFETY: Engine is thread-safe. IoQueue is not, but for wake().
// LOCK ORDER: an engine's locks are leaves: nothing else is taken while one is held.
// OWNERSHIP: an Engine outlives its queues; a queue outlives its Ios.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace dmiofs {

class Device;

enum class IoOp : uint8_t {
  kRead,
  kWrite,
  kFlush,        // fdatasync; offset and length unused
  kDiscard,      // a hint to drop the range; content afterwards: zeros on files, whatever the device says on
                 // block devices
  kWriteZeroes,  // reads as zeros afterwards; -EOPNOTSUPP where the device cannot (the caller writes zeros
                 // then)
};
inline constexpr unsigned kIoOps = 5;
const char* to_string(IoOp op);
constexpr bool carries_data(IoOp op) { return op == IoOp::kRead || op == IoOp::kWrite; }

struct Io {
  IoOp op = IoOp::kRead;
  const Device* device = nullptr;
  uint64_t offset = 0;  // bytes; with `length`, aligned to the device's logical block
  uint64_t length = 0;  // bytes; for read and write the sum of `iov`
  const iovec* iov = nullptr;
  unsigned iov_count = 0;  // at most kMaxIov
  int result = 0;          // set before on_complete: 0 or -errno
  void (*on_complete)(Io* io) = nullptr;
  void* context = nullptr;  // the owner's

  // The engine's own while the Io is its, meaningless to others.
  Io* next = nullptr;
  uint64_t done = 0;
  void* engine_state = nullptr;
};
inline constexpr unsigned kMaxIov = 256;

class IoQueue {
 public:
  virtual ~IoQueue() = default;

  // Takes the Io. Never blocks, never calls on_complete, never fails: an Io the kernel will not take ends
  // with its error.
  virtual void queue(Io* io) noexcept = 0;

  // Starts all that was queued; one system call where the engine can. May complete Ios.
  virtual void submit() noexcept = 0;

  // Submits what is queued, then waits until at least one Io has completed since the call, wake() was called,
  // or `deadline` (CLOCK_MONOTONIC nanoseconds, kNoDeadline = never) passed; runs on_complete of all that
  // ended. Returns how many completed. A deadline in the past polls. With nothing in flight and no deadline
  // it waits for wake().
  virtual unsigned reap(nanos_t deadline) noexcept = 0;

  // The same, but waits until nothing is queued or in flight any more: who waits for the I/O of several legs
  // pays for one system call, not one a leg. A wake() meanwhile does not end it and may be used up.
  virtual unsigned drain(nanos_t deadline) noexcept {
    unsigned completed = 0;
    while (in_flight() > 0) {
      completed += reap(deadline);
      if (deadline != kNoDeadline && now_nanos() >= deadline) break;
    }
    return completed;
  }

  // Makes a reap() that runs now, or the next one, return soon. From any thread.
  virtual void wake() noexcept = 0;

  // Ios queued or in flight.
  virtual unsigned in_flight() const noexcept = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual const char* name() const noexcept = 0;  // "uring", "threads", "null", "fault(uring)"

  // Setup path: makes a queue that takes at least `depth` Ios in flight (more wait inside, in order).
  virtual Result<std::unique_ptr<IoQueue>> open_queue(unsigned depth) = 0;
};

// What a config can ask for; kAuto: uring when the kernel permits it, else threads. `reason` says why, for
// the log.
enum class EngineKind { kAuto, kUring, kThreads, kNull };
struct EngineChoice {
  std::shared_ptr<Engine> engine;
  std::string reason;
};
Result<EngineChoice> make_engine(EngineKind kind);

std::shared_ptr<Engine> make_null_engine();
std::shared_ptr<Engine> make_threads_engine();
// ENOSYS: built without liburing; EPERM, ENOSYS: the kernel or a container's policy forbids it.
Result<std::shared_ptr<Engine>> make_uring_engine();

}  // namespace dmiofs
