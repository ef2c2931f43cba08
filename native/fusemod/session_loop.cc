#include "fusemod/session_loop.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "fusemod/libfuse.h"

// Last: it redefines names of the system's own headers.
#include <fuse_kernel.h>

namespace dmiofs {
namespace {

constexpr unsigned kMostFailures = 100;  // receives in a row
constexpr timespec kFailurePause = {0, 10'000'000};

// A burst of these, which need no answer and hardly any time, is no reason for more threads.
bool is_forget(const char* request) {
  const uint32_t opcode = reinterpret_cast<const fuse_in_header*>(request)->opcode;
  return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
}

class SessionLoop {
 public:
  SessionLoop(struct fuse_session* session, struct fuse_chan* channel, ReceiveRequest receive)
      : session_(session),
        channel_(channel),
        receive_(receive),
        buffer_size_(libfuse().chan_bufsize(channel)) {}

  int run() {
    if (!start_worker()) return -EAGAIN;
    for (;;) {
      Worker* ended = nullptr;
      {
        MutexLock lock(mutex_);
        while (running_ > 0 && ended_ == nullptr) one_ended_.wait(mutex_);
        ended = std::exchange(ended_, nullptr);
      }
      if (ended == nullptr) return 0;
      while (ended != nullptr) {
        std::unique_ptr<Worker> worker(std::exchange(ended, ended->next));
        pthread_join(worker->thread, nullptr);
      }
    }
  }

 private:
  struct Worker {
    SessionLoop* loop = nullptr;
    std::unique_ptr<char[]> buffer;
    pthread_t thread{};
    Worker* next = nullptr;
  };

  bool start_worker() {
    std::unique_ptr<Worker> worker(new (std::nothrow) Worker);
    if (worker == nullptr) return false;
    worker->loop = this;
    worker->buffer.reset(new (std::nothrow) char[buffer_size_]);
    if (worker->buffer == nullptr) return false;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    MutexLock lock(mutex_);  // the thread is known before it can end
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int err = pthread_create(&worker->thread, nullptr, serve, worker.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (err != 0) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    pthread_setname_np(worker->thread, "dmiofs-session");
    worker.release();
    running_++;
    return true;
  }

  static void* serve(void* argument) {
    auto* worker = static_cast<Worker*>(argument);
    SessionLoop* const loop = worker->loop;
    loop->serve_requests(worker->buffer.get());
    MutexLock lock(loop->mutex_);
    loop->running_--;
    worker->next = std::exchange(loop->ended_, worker);
    loop->one_ended_.notify_one();
    return nullptr;
  }

  void serve_requests(char* buffer) {
    for (unsigned failures = 0; failures < kMostFailures;) {
      struct fuse_chan* channel = channel_;
      const int got = receive_(&channel, buffer, buffer_size_);
      if (got == 0) return;
      if (got < 0) {
        if (got == -EINTR || got == -EAGAIN) continue;
        if (failures++ == 0)
          log_line(LogLevel::kError,
                   "a request could not be received from the kernel: " + std::string(std::strerror(-got)));
        nanosleep(&kFailurePause, nullptr);
        continue;
      }
      failures = 0;
      const bool counts = !is_forget(buffer);
      if (counts && waiting_.fetch_sub(1, std::memory_order_relaxed) == 1) start_worker();
      libfuse().session_process(session_, buffer, static_cast<size_t>(got), channel);
      if (!counts || waiting_.fetch_add(1, std::memory_order_relaxed) < kKeptWorkers) continue;
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    libfuse().session_exit(session_);
  }

  struct fuse_session* const session_;
  struct fuse_chan* const channel_;
  const ReceiveRequest receive_;
  const size_t buffer_size_;
  std::atomic<int> waiting_{0};  // threads that wait for a request, or have just been started

  Mutex mutex_;
  CondVar one_ended_;
  unsigned running_ GUARDED_BY(mutex_) = 0;
  Worker* ended_ GUARDED_BY(mutex_) = nullptr;  // to be joined
};

}  // namespace

int run_session_loop(struct fuse_session* session, struct fuse_chan* channel, ReceiveRequest receive) {
  return SessionLoop(session, channel, receive).run();
}

}  // namespace dmiofs
