#include "engine/lease.h"

#include <algorithm>
#include <chrono>

namespace dmiofs {
namespace {

constexpr nanos_t kDrainNanos = 2 * kNanosPerSecond;
constexpr auto kReapPause = std::chrono::milliseconds(20);

// Its I/O may still end, into a queue that must then be there. In a list, so that a leak checker sees that it
// is meant.
void leave_behind(IoQueue* queue) {
  static Mutex mutex;
  static auto* const left = new std::vector<IoQueue*>();
  MutexLock lock(mutex);
  left->push_back(queue);
}

}  // namespace

EngineLease::EngineLease(EngineLease&& other) noexcept
    : pool_(other.pool_), queue_(std::exchange(other.queue_, nullptr)) {}

EngineLease::~EngineLease() {
  if (queue_ != nullptr) pool_->give_back(queue_);
}

EnginePool::EnginePool(std::shared_ptr<Engine> engine, unsigned depth)
    : engine_(std::move(engine)), depth_(depth) {}

Result<std::unique_ptr<EnginePool>> EnginePool::create(std::shared_ptr<Engine> engine, unsigned ready,
                                                       unsigned depth) {
  std::unique_ptr<EnginePool> pool(new EnginePool(std::move(engine), depth));
  {
    MutexLock lock(pool->mutex_);
    for (unsigned i = 0; i < ready; i++) {
      auto queue = pool->engine_->open_queue(depth);
      if (!queue.ok() && i == 0) return queue.error();
      if (!queue.ok()) break;
      pool->idle_.push_back(queue.value().get());
      pool->queues_.push_back(queue.take());
    }
  }
  pool->reaper_ = std::thread([self = pool.get()] { self->reap_abandoned(); });
  return pool;
}

EnginePool::~EnginePool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    abandoned_changed_.notify_all();
  }
  if (reaper_.joinable()) reaper_.join();
  MutexLock lock(mutex_);
  for (auto& queue : queues_) {
    if (queue->in_flight() > 0) leave_behind(queue.release());
  }
}

EngineLease EnginePool::lease() {
  {
    MutexLock lock(mutex_);
    if (!idle_.empty()) {
      IoQueue* queue = idle_.back();
      idle_.pop_back();
      return EngineLease(this, queue);
    }
  }
  auto opened = engine_->open_queue(depth_);
  MutexLock lock(mutex_);
  if (opened.ok()) {
    IoQueue* queue = opened.value().get();
    queues_.push_back(opened.take());
    return EngineLease(this, queue);
  }
  while (idle_.empty()) idle_changed_.wait(mutex_);
  IoQueue* queue = idle_.back();
  idle_.pop_back();
  return EngineLease(this, queue);
}

unsigned EnginePool::abandoned_ios() const {
  MutexLock lock(mutex_);
  unsigned ios = reaping_ios_;
  for (const IoQueue* queue : abandoned_)
    ios += queue->in_flight();  // nobody owns them before the reaper takes them
  return ios;
}

void EnginePool::give_back(IoQueue* queue) {
  const unsigned in_flight = queue->in_flight();
  MutexLock lock(mutex_);
  if (in_flight > 0) {
    abandoned_.push_back(queue);
    abandoned_changed_.notify_all();
  } else {
    idle_.push_back(queue);
    if (idle_.size() == 1) idle_changed_.notify_all();
  }
}

void EnginePool::reap_abandoned() {
  std::vector<IoQueue*> mine;
  nanos_t stop_by = kNoDeadline;
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (mine.empty()) {
        while (abandoned_.empty() && !stopping_) abandoned_changed_.wait(mutex_);
      } else {
        abandoned_changed_.wait_until(mutex_, std::chrono::steady_clock::now() + kReapPause);
      }
      for (IoQueue* queue : abandoned_) reaping_ios_ += queue->in_flight();
      mine.insert(mine.end(), abandoned_.begin(), abandoned_.end());
      abandoned_.clear();
      if (stopping_) {
        if (mine.empty()) return;
        if (stop_by == kNoDeadline) stop_by = now_nanos() + kDrainNanos;
        if (now_nanos() >= stop_by) return;
      }
    }
    unsigned left = 0;
    std::vector<IoQueue*> drained;
    for (IoQueue* queue : mine) {
      queue->reap(0);
      left += queue->in_flight();
      if (queue->in_flight() == 0) drained.push_back(queue);
    }
    std::erase_if(mine, [](IoQueue* queue) { return queue->in_flight() == 0; });
    MutexLock lock(mutex_);
    reaping_ios_ = left;
    idle_.insert(idle_.begin(), drained.begin(), drained.end());
    if (!drained.empty()) idle_changed_.notify_all();
  }
}

}  // namespace dmiofs
