// BlockingPool: threads that do I/O by blocking system calls (engine/blocking_io.h), where io_uring is not permitted.
//
// It starts with kReadyThreads and grows when every thread is busy; one that found nothing to do for some time
// ends. A device occupies at most so many of them: Ios stuck on a hung one do not starve the others.
//
//     running --stop()--> stopping: threads end, those in a system call when their device lets them
//
// THREAD SAFETY: thread-safe. LOCK ORDER: leaf; EndedIos too, and neither is taken under the other.
// OWNERSHIP: shared by its threads: those stuck in a system call when the engine goes are left behind.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "engine/engine.h"

namespace dmiofs {

inline constexpr unsigned kReadyThreads = 8;
inline constexpr unsigned kMaxThreads = 512;

// What the pool has done for one queue, until its owner comes for it. An Io names it in engine_state.
class EndedIos {
 public:
  // From a pool thread. Notifies under the lock: once it is free the owner may destroy this.
  void finish(Io* io) noexcept {
    MutexLock lock(mutex_);
    io->next = ended_;
    ended_ = io;
    changed_.notify_one();
  }

  void wake() noexcept {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  // All that have ended, linked by `next`; waits for one, for wake(), or until the deadline.
  Io* wait(nanos_t deadline) noexcept {
    MutexLock lock(mutex_);
    while (ended_ == nullptr && !woken_) {
      if (deadline == kNoDeadline) {
        changed_.wait(mutex_);
      } else {
        const nanos_t left = deadline - now_nanos();
        if (left <= 0) break;
        changed_.wait_until(mutex_, std::chrono::steady_clock::now() + std::chrono::nanoseconds(left));
      }
    }
    woken_ = false;
    return std::exchange(ended_, nullptr);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  Io* ended_ GUARDED_BY(mutex_) = nullptr;
  bool woken_ GUARDED_BY(mutex_) = false;
};

// How many threads are at each device. No allocation; a device is in it while a thread is at it: it never overflows.
class DeviceLoad {
 public:
  unsigned of(const Device* device) const {
    const unsigned at = find(device);
    return at < used_ ? entries_[at].threads : 0;
  }
  void add(const Device* device) {
    const unsigned at = find(device);
    if (at == used_) entries_[used_++] = {device, 0};
    entries_[at].threads++;
  }
  void remove(const Device* device) {
    const unsigned at = find(device);
    if (--entries_[at].threads == 0) entries_[at] = entries_[--used_];
  }

 private:
  struct Entry {
    const Device* device = nullptr;
    unsigned threads = 0;
  };
  unsigned find(const Device* device) const {
    unsigned at = 0;
    while (at < used_ && entries_[at].device != device) at++;
    return at;
  }
  std::array<Entry, kMaxThreads> entries_;
  unsigned used_ = 0;
};

class BlockingPool : public std::enable_shared_from_this<BlockingPool> {
 public:
  // `count` Ios, linked by `next`; each ends in its EndedIos.
  void push(Io* first, Io* last, unsigned count);
  bool grow(unsigned wanted);  // false: there is not one thread
  void stop();                 // waits for its threads, for a while

 private:
  Io* take() REQUIRES(mutex_);      // the oldest Io whose device has room for another thread
  Io* pop(const Device* finished);  // null: this thread is to end
  static void* thread_main(void* pool);

  Mutex mutex_;
  CondVar work_;
  CondVar ended_;
  Io* head_ GUARDED_BY(mutex_) = nullptr;
  Io* tail_ GUARDED_BY(mutex_) = nullptr;
  unsigned queued_ GUARDED_BY(mutex_) = 0;
  unsigned idle_ GUARDED_BY(mutex_) = 0;
  unsigned threads_ GUARDED_BY(mutex_) = 0;
  DeviceLoad load_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace dmiofs
