#include "engine/blocking_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "engine/blocking_io.h"

namespace dmiofs {
namespace {

constexpr unsigned kMaxThreadsOfDevice = 32;
constexpr int kIdleSeconds = 20;
constexpr int kEndSeconds = 2;

}  // namespace

void BlockingPool::push(Io* first, Io* last, unsigned count) {
  unsigned missing = 0;
  {
    MutexLock lock(mutex_);
    if (head_ == nullptr)
      head_ = first;
    else
      tail_->next = first;
    tail_ = last;
    queued_ += count;
    if (queued_ > idle_) missing = queued_ - idle_;
    for (unsigned i = std::min(count, idle_); i > 0; i--) work_.notify_one();
  }
  if (missing == 0 || grow(missing)) return;
  // The system gives us no thread at all: the caller's own does it.
  for (;;) {
    Io* io = nullptr;
    {
      MutexLock lock(mutex_);
      io = take();
    }
    if (io == nullptr) return;
    io->result = do_blocking_io(*io);
    const Device* device = io->device;
    static_cast<EndedIos*>(io->engine_state)->finish(io);
    MutexLock lock(mutex_);
    load_.remove(device);
  }
}

bool BlockingPool::grow(unsigned wanted) {
  // Threads take no signals: those are the process's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool some = true;
  for (unsigned i = 0; i < wanted; i++) {
    {
      MutexLock lock(mutex_);
      if (threads_ >= kMaxThreads || stopping_) break;
      threads_++;
    }
    auto* self = new std::shared_ptr<BlockingPool>(shared_from_this());
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int err = pthread_create(&thread, &attr, thread_main, self);
    pthread_attr_destroy(&attr);
    if (err != 0) {  // the threads that are there will come to it
      delete self;
      MutexLock lock(mutex_);
      some = --threads_ > 0;
      break;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return some;
}

Io* BlockingPool::take() {
  Io* before = nullptr;
  for (Io* io = head_; io != nullptr; before = io, io = io->next) {
    if (load_.of(io->device) >= kMaxThreadsOfDevice) continue;
    (before == nullptr ? head_ : before->next) = io->next;
    if (tail_ == io) tail_ = before;
    queued_--;
    load_.add(io->device);
    return io;
  }
  return nullptr;
}

Io* BlockingPool::pop(const Device* finished) {
  MutexLock lock(mutex_);
  if (finished != nullptr) load_.remove(finished);
  const auto idle_until = std::chrono::steady_clock::now() + std::chrono::seconds(kIdleSeconds);
  Io* io = take();
  if (io != nullptr) return io;
  idle_++;
  bool timed_out = false;
  while ((io = take()) == nullptr) {
    if (stopping_ || (timed_out && threads_ > kReadyThreads)) {
      idle_--;
      if (--threads_ == 0) ended_.notify_all();
      return nullptr;
    }
    if (timed_out)
      work_.wait(mutex_);
    else
      timed_out = !work_.wait_until(mutex_, idle_until);
  }
  idle_--;
  return io;
}

void BlockingPool::stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  work_.notify_all();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(kEndSeconds);
  while (threads_ > 0 && ended_.wait_until(mutex_, until)) {
  }
}

void* BlockingPool::thread_main(void* argument) {
  auto* holder = static_cast<std::shared_ptr<BlockingPool>*>(argument);
  const std::shared_ptr<BlockingPool> pool = std::move(*holder);
  delete holder;
  const Device* finished = nullptr;
  while (Io* io = pool->pop(finished)) {
    finished = io->device;  // compared only from now on: it may be gone
    io->result = do_blocking_io(*io);
    static_cast<EndedIos*>(io->engine_state)->finish(io);
  }
  return nullptr;
}

}  // namespace dmiofs
