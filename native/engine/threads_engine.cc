// The threads engine: blocking system calls on a pool of threads, where io_uring is not permitted (most
// containers).
//
// The pool starts with kReadyThreads and grows when every thread is busy, so that Ios stuck on a hung device
// do not starve the others; a thread that found nothing to do for kIdleSeconds ends. The pool's state is
// shared by its threads: those stuck in a system call when the engine goes are left behind and end when their
// device lets them.
#include <pthread.h>
#include <signal.h>

#include <cerrno>

#include "base/mutex.h"
#include "engine/blocking_io.h"
#include "engine/engine.h"

namespace dmiofs {
namespace {

constexpr unsigned kReadyThreads = 8;
constexpr unsigned kMaxThreads = 512;
constexpr int kIdleSeconds = 20;

class ThreadsQueue;

struct ThreadPool : std::enable_shared_from_this<ThreadPool> {
  Mutex mutex;
  CondVar work;
  Io* head GUARDED_BY(mutex) = nullptr;
  Io* tail GUARDED_BY(mutex) = nullptr;
  unsigned queued GUARDED_BY(mutex) = 0;
  unsigned idle GUARDED_BY(mutex) = 0;
  unsigned threads GUARDED_BY(mutex) = 0;
  bool stopping GUARDED_BY(mutex) = false;

  void push(Io* first, Io* last, unsigned count);
  void grow(unsigned wanted);
  Io* pop();  // null: this thread is to end
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
    if (count == 1)
      work.notify_one();
    else
      work.notify_all();
  }
  if (missing > 0) grow(missing);
}

void ThreadPool::grow(unsigned wanted) {
  // Threads take no signals: those are the process's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
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
      threads--;
      break;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Io* ThreadPool::pop() {
  MutexLock lock(mutex);
  const auto idle_until = std::chrono::steady_clock::now() + std::chrono::seconds(kIdleSeconds);
  idle++;
  while (head == nullptr) {
    const bool timed_out = !work.wait_until(mutex, idle_until);
    if (head != nullptr) break;
    if (stopping || (timed_out && threads > kReadyThreads)) {
      idle--;
      threads--;
      return nullptr;
    }
    if (timed_out) work.wait(mutex);
  }
  idle--;
  Io* io = head;
  head = io->next;
  queued--;
  return io;
}

void* ThreadPool::thread_main(void* argument) {
  auto* holder = static_cast<std::shared_ptr<ThreadPool>*>(argument);
  const std::shared_ptr<ThreadPool> pool = std::move(*holder);
  delete holder;
  while (Io* io = pool->pop()) {
    io->result = do_blocking_io(*io);
    static_cast<ThreadsQueue*>(io->engine_state)->finish(io);
  }
  return nullptr;
}

class ThreadsEngine final : public Engine {
 public:
  ThreadsEngine() : pool_(std::make_shared<ThreadPool>()) { pool_->grow(kReadyThreads); }
  ~ThreadsEngine() override {
    MutexLock lock(pool_->mutex);
    pool_->stopping = true;
    pool_->work.notify_all();
  }
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
