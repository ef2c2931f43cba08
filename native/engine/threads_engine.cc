// The threads engine: blocking system calls on a pool of threads, where io_uring is not permitted (most
// containers).
#include <utility>

#include "engine/blocking_pool.h"
#include "engine/engine.h"
#include "engine/io_list.h"

namespace dmiofs {
namespace {

class ThreadsQueue final : public IoQueue {
 public:
  explicit ThreadsQueue(std::shared_ptr<BlockingPool> pool) : pool_(std::move(pool)) {}

  void queue(Io* io) noexcept override {
    io->done = 0;
    io->engine_state = &ended_;
    queued_.push_back(io);
    queued_count_++;
    in_flight_++;
  }

  void submit() noexcept override {
    if (queued_.empty()) return;
    Io* const last = queued_.back();
    pool_->push(queued_.take_all(), last, std::exchange(queued_count_, 0));
  }

  unsigned reap(nanos_t deadline) noexcept override {
    submit();
    Io* done = ended_.wait(deadline);
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

  void wake() noexcept override { ended_.wake(); }
  unsigned in_flight() const noexcept override { return in_flight_; }

 private:
  const std::shared_ptr<BlockingPool> pool_;
  IoList queued_;
  unsigned queued_count_ = 0;
  unsigned in_flight_ = 0;
  EndedIos ended_;
};

class ThreadsEngine final : public Engine {
 public:
  ThreadsEngine() : pool_(std::make_shared<BlockingPool>()) { pool_->grow(kReadyThreads); }
  ~ThreadsEngine() override { pool_->stop(); }
  const char* name() const noexcept override { return "threads"; }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned) override {
    return std::unique_ptr<IoQueue>(new ThreadsQueue(pool_));
  }

 private:
  const std::shared_ptr<BlockingPool> pool_;
};

}  // namespace

std::shared_ptr<Engine> make_threads_engine() { return std::make_shared<ThreadsEngine>(); }

}  // namespace dmiofs
