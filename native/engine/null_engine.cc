// The null engine: every Io succeeds and no device is touched; a read leaves its memory as it is. Measures
// all that is above it.
#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/io_list.h"

namespace dmiofs {
namespace {

class NullQueue final : public IoQueue {
 public:
  void queue(Io* io) noexcept override {
    queued_.push_back(io);
    count_++;
  }

  void submit() noexcept override { complete_all(); }

  unsigned reap(nanos_t deadline) noexcept override {
    const unsigned completed = complete_all();
    if (completed > 0) return completed;
    MutexLock lock(mutex_);
    while (!woken_) {
      if (deadline == kNoDeadline) {
        changed_.wait(mutex_);
      } else {
        const nanos_t now = now_nanos();
        if (now >= deadline) break;
        changed_.wait_until(mutex_,
                            std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline - now));
      }
    }
    woken_ = false;
    return 0;
  }

  void wake() noexcept override {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  unsigned in_flight() const noexcept override { return count_; }

 private:
  unsigned complete_all() {
    unsigned completed = 0;
    while (!queued_.empty()) {
      Io* io = queued_.front();
      queued_.pop_front();
      count_--;
      completed++;
      io->result = 0;
      io->on_complete(io);
    }
    return completed;
  }

  IoList queued_;
  unsigned count_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool woken_ GUARDED_BY(mutex_) = false;
};

class NullEngine final : public Engine {
 public:
  const char* name() const noexcept override { return "null"; }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned) override {
    return std::unique_ptr<IoQueue>(new NullQueue());
  }
};

}  // namespace

std::shared_ptr<Engine> make_null_engine() { return std::make_shared<NullEngine>(); }

}  // namespace dmiofs
