// EnginePool and EngineLease: a queue (with io_uring: a ring) for each thread that is doing I/O right now.
//
// A synchronous caller leases a queue for one request and gives it back. Idle queues are kept, last used
// first, so that a busy worker thread finds the same, cache-warm queue again; threads of libfuse come and go
// without a queue being tied to one.
//
//     queue:  idle --lease()--> leased --lease ends--> idle
//                                  \--ends with I/O in flight--> abandoned (drained by the reaper thread) -->
//                                  idle
//
// THREAD SAFETY: the pool is thread-safe; a lease belongs to one thread. LOCK ORDER: leaf; never held while
// reaping. OWNERSHIP: the pool owns the queues and outlives every lease. Its destructor waits a bounded time
// for abandoned I/O, then leaks those queues on purpose: a hung device must not hang the exit.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"

namespace dmiofs {

class EnginePool;

class [[nodiscard]] EngineLease {
 public:
  EngineLease(EngineLease&& other) noexcept;
  EngineLease(const EngineLease&) = delete;
  ~EngineLease();  // gives the queue back; with I/O still in flight it is abandoned
  IoQueue* operator->() const { return queue_; }
  IoQueue& operator*() const { return *queue_; }

 private:
  friend class EnginePool;
  EngineLease(EnginePool* pool, IoQueue* queue) : pool_(pool), queue_(queue) {}
  EnginePool* pool_;
  IoQueue* queue_;
};

class EnginePool {
 public:
  // `ready` queues are opened at once, so that the data path opens none until more threads than that do I/O
  // at the same time.
  static Result<std::unique_ptr<EnginePool>> create(std::shared_ptr<Engine> engine, unsigned ready,
                                                    unsigned depth);
  ~EnginePool();

  // Never fails: when no idle queue is left and no further one can be opened, waits for one.
  EngineLease lease();

  Engine& engine() { return *engine_; }
  unsigned abandoned_ios() const;  // in flight on abandoned queues

 private:
  friend class EngineLease;
  EnginePool(std::shared_ptr<Engine> engine, unsigned depth);
  void give_back(IoQueue* queue);
  void reap_abandoned();

  const std::shared_ptr<Engine> engine_;
  const unsigned depth_;
  mutable Mutex mutex_;
  CondVar idle_changed_;       // for lease()
  CondVar abandoned_changed_;  // for the reaper
  std::vector<std::unique_ptr<IoQueue>> queues_ GUARDED_BY(mutex_);
  std::vector<IoQueue*> idle_ GUARDED_BY(mutex_);
  std::vector<IoQueue*> abandoned_ GUARDED_BY(mutex_);
  unsigned reaping_ios_ GUARDED_BY(mutex_) = 0;  // of the queues that the reaper holds
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread reaper_;
};

}  // namespace dmiofs
