// The threads engine: blocking system calls on a pool of threads, where io_uring is not permitted (most
// containers).
#include "engine/blocking_pool.h"
#include "engine/engine.h"

namespace dmiofs {
namespace {

class ThreadsQueue final : public IoQueue {
 public:
  explicit ThreadsQueue(std::shared_ptr<BlockingPool> pool) : pool_(std::move(pool)) {}

  void queue(Io* io) noexcept override {
    io->done = 0;
    io->next = nullptr;
    io->engine_state = &ended_;
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
  Io* queued_head_ = nullptr;
  Io* queued_tail_ = nullptr;
  unsigned queued_ = 0;
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
