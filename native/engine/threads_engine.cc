// The threads engine: blocking system calls on a pool of threads, where io_uring is not permitted (most
// containers).
//
// The pool starts with kReadyThreads and grows when every thread is busy; one that found nothing to do for
// kIdleSeconds ends. A device occupies at most kMaxThreadsOfDevice of them: Ios stuck on a hung one do not
// starve the others. The pool's state is shared by its threads: those stuck in a system call when the engine
// goes are left behind and end when their device lets them.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/mutex.h"
#include "engine/blocking_io.h"
#include "engine/engine.h"

namespace dmiofs {
namespace {

constexpr unsigned kReadyThreads = 8;
constexpr unsigned kMaxThreads = 512;
constexpr unsigned kMaxThreadsOfDevice = 32;
constexpr unsigned kTrackedDevices = kMaxThreads;  // each thread is at one device: it never overflows
constexpr int kIdleSeconds = 20;
constexpr int kEndSeconds = 2;

class ThreadsQueue;

// How many threads are at each device. No allocation; a device is in it while a thread is at it.
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
  std::array<Entry, kTrackedDevices> entries_;
  unsigned used_ = 0;
};

struct ThreadPool : std::enable_shared_from_this<ThreadPool> {
  Mutex mutex;
  CondVar work;
  CondVar ended;
  Io* head GUARDED_BY(mutex) = nullptr;
  Io* tail GUARDED_BY(mutex) = nullptr;
  unsigned queued GUARDED_BY(mutex) = 0;
  unsigned idle GUARDED_BY(mutex) = 0;
  unsigned threads GUARDED_BY(mutex) = 0;
  DeviceLoad load GUARDED_BY(mutex);
  bool stopping GUARDED_BY(mutex) = false;

  void push(Io* first, Io* last, unsigned count);
  bool grow(unsigned wanted);       // false: there is not one thread
  Io* take() REQUIRES(mutex);       // the oldest Io whose device has room for another thread
  Io* pop(const Device* finished);  // null: this thread is to end
  void stop();
  static void* thread_main(void* pool);
};

class ThreadsQueue final : public IoQueue {
 public:
  explicit ThreadsQueue(std::shared_ptr<ThreadPool> pool) : pool_(std::move(pool)) {}

  void queue(Io* io) noexcept override {
    io->done = 0;
    io->next = nullptr;
    io->engine_state = this;
    *(queued_head_ == nullptr ? &queued_head_ : &queued_tail_->next) = io;
    queued_tail_ = io;
    queued_++;
    in_flight_++;
  }

  void submit() noexcept override {
    if (queued_ == 0) return;
    pool_->push(queued_head_, queued_tail_, queued_);
    queued_head_ = nullptr;
    queued_ = 0;
  }

  unsigned reap(nanos_t deadline) noexcept override {
    submit();
    Io* done = nullptr;
    {
      MutexLock lock(mutex_);
      while (done_ == nullptr && !woken_) {
        if (deadline == kNoDeadline) {
          changed_.wait(mutex_);
        } else {
          const nanos_t left = deadline - now_nanos();
          if (left <= 0) break;
          changed_.wait_until(mutex_, std::chrono::steady_clock::now() + std::chrono::nanoseconds(left));
        }
      }
      woken_ = false;
      done = done_;
      done_ = nullptr;
    }
    unsigned completed = 0;
    while (done != nullptr) {
      Io* io = done;
      done = io->next;
      in_flight_--;
      completed++;
      io->on_complete(io);
    }
    submit();
    return completed;
  }

  void wake() noexcept override {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  unsigned in_flight() const noexcept override { return in_flight_; }

  // From a pool thread. Notifies under the lock: once it is free the owner may destroy the queue.
  void finish(Io* io) noexcept {
    MutexLock lock(mutex_);
    io->next = done_;
    done_ = io;
    changed_.notify_one();
  }

 private:
  const std::shared_ptr<ThreadPool> pool_;
  Io* queued_head_ = nullptr;
  Io* queued_tail_ = nullptr;
  unsigned queued_ = 0;
  unsigned in_flight_ = 0;
  Mutex mutex_;
  CondVar changed_;
  Io* done_ GUARDED_BY(mutex_) = nullptr;
  bool woken_ GUARDED_BY(mutex_) = false;
};

void ThreadPool::push(Io* first, Io* last, unsigned count) {
  unsigned missing = 0;
  {
    MutexLock lock(mutex);
    if (head == nullptr)
      head = first;
    else
      tail->next = first;
    tail = last;
    queued += count;
    if (queued > idle) missing = queued - idle;
    for (unsigned i = std::min(count, idle); i > 0; i--) work.notify_one();
  }
  if (missing == 0 || grow(missing)) return;
  // The system gives us no thread at all: the caller's own does it.
  for (;;) {
    Io* io = nullptr;
    {
      MutexLock lock(mutex);
      io = take();
    }
    if (io == nullptr) return;
    io->result = do_blocking_io(*io);
    const Device* device = io->device;
    static_cast<ThreadsQueue*>(io->engine_state)->finish(io);
    MutexLock lock(mutex);
    load.remove(device);
  }
}

bool ThreadPool::grow(unsigned wanted) {
  // Threads take no signals: those are the process's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool some = true;
  for (unsigned i = 0; i < wanted; i++) {
    {
      MutexLock lock(mutex);
      if (threads >= kMaxThreads || stopping) break;
      threads++;
    }
    auto* self = new std::shared_ptr<ThreadPool>(shared_from_this());
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int err = pthread_create(&thread, &attr, thread_main, self);
    pthread_attr_destroy(&attr);
    if (err != 0) {  // the threads that are there will come to it
      delete self;
      MutexLock lock(mutex);
      some = --threads > 0;
      break;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return some;
}

Io* ThreadPool::take() {
  Io* before = nullptr;
  for (Io* io = head; io != nullptr; before = io, io = io->next) {
    if (load.of(io->device) >= kMaxThreadsOfDevice) continue;
    (before == nullptr ? head : before->next) = io->next;
    if (tail == io) tail = before;
    queued--;
    load.add(io->device);
    return io;
  }
  return nullptr;
}

Io* ThreadPool::pop(const Device* finished) {
  MutexLock lock(mutex);
  if (finished != nullptr) load.remove(finished);
  const auto idle_until = std::chrono::steady_clock::now() + std::chrono::seconds(kIdleSeconds);
  Io* io = take();
  if (io != nullptr) return io;
  idle++;
  bool timed_out = false;
  while ((io = take()) == nullptr) {
    if (stopping || (timed_out && threads > kReadyThreads)) {
      idle--;
      if (--threads == 0) ended.notify_all();
      return nullptr;
    }
    if (timed_out)
      work.wait(mutex);
    else
      timed_out = !work.wait_until(mutex, idle_until);
  }
  idle--;
  return io;
}

void ThreadPool::stop() {
  MutexLock lock(mutex);
  stopping = true;
  work.notify_all();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(kEndSeconds);
  while (threads > 0 && ended.wait_until(mutex, until)) {
  }
}

void* ThreadPool::thread_main(void* argument) {
  auto* holder = static_cast<std::shared_ptr<ThreadPool>*>(argument);
  const std::shared_ptr<ThreadPool> pool = std::move(*holder);
  delete holder;
  const Device* finished = nullptr;
  while (Io* io = pool->pop(finished)) {
    finished = io->device;  // compared only from now on: it may be gone
    io->result = do_blocking_io(*io);
    static_cast<ThreadsQueue*>(io->engine_state)->finish(io);
  }
  return nullptr;
}

class ThreadsEngine final : public Engine {
 public:
  ThreadsEngine() : pool_(std::make_shared<ThreadPool>()) { pool_->grow(kReadyThreads); }
  ~ThreadsEngine() override { pool_->stop(); }
  const char* name() const noexcept override { return "threads"; }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned) override {
    return std::unique_ptr<IoQueue>(new ThreadsQueue(pool_));
  }

 private:
  const std::shared_ptr<ThreadPool> pool_;
};

}  // namespace

std::shared_ptr<Engine> make_threads_engine() { return std::make_shared<ThreadsEngine>(); }

}  // namespace dmiofs
