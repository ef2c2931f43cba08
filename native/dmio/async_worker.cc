#include "dmio/async_worker.h"

namespace dmiofs {
namespace {

constexpr nanos_t kExitNanos = 2 * kNanosPerSecond;

}  // namespace

struct AsyncWorker::State {
  std::shared_ptr<Engine> engine;
  std::unique_ptr<IoQueue> queue;
  std::unique_ptr<RequestDriver> driver;
  Mutex mutex;
  CondVar ended;
  Request* first GUARDED_BY(mutex) = nullptr;
  Request* last GUARDED_BY(mutex) = nullptr;
  unsigned reserve GUARDED_BY(mutex) = 0;
  bool reserve_changed GUARDED_BY(mutex) = false;
  bool stopping GUARDED_BY(mutex) = false;
  bool has_ended GUARDED_BY(mutex) = false;
};

Result<std::unique_ptr<AsyncWorker>> AsyncWorker::create(std::shared_ptr<Engine> engine, unsigned depth,
                                                         unsigned reserve) {
  auto queue = engine->open_queue(depth);
  if (!queue.ok()) return queue.error();
  auto state = std::make_shared<State>();
  state->engine = std::move(engine);
  state->queue = queue.take();
  state->driver = std::make_unique<RequestDriver>(*state->queue, reserve);
  std::unique_ptr<AsyncWorker> worker(new AsyncWorker(state));
  worker->thread_ = std::thread([state] { run(state); });
  return worker;
}

AsyncWorker::~AsyncWorker() {
  bool ended = false;
  {
    MutexLock lock(state_->mutex);
    state_->stopping = true;
    state_->queue->wake();
    const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kExitNanos);
    while (!state_->has_ended && state_->ended.wait_until(state_->mutex, until)) {
    }
    ended = state_->has_ended;
  }
  if (ended)
    thread_.join();
  else
    thread_.detach();  // a hung device: its state stays with it
}

void AsyncWorker::start(Request* request) {
  request->next = nullptr;
  MutexLock lock(state_->mutex);
  const bool was_empty = state_->first == nullptr;
  if (was_empty)
    state_->first = request;
  else
    state_->last->next = request;
  state_->last = request;
  if (was_empty) state_->queue->wake();
}

void AsyncWorker::set_reserve(unsigned chunks) {
  MutexLock lock(state_->mutex);
  state_->reserve = chunks;
  state_->reserve_changed = true;
  state_->queue->wake();
}

void AsyncWorker::run(const std::shared_ptr<State>& state) {
  for (;;) {
    Request* first = nullptr;
    unsigned reserve = 0;
    bool stop = false;
    {
      MutexLock lock(state->mutex);
      first = std::exchange(state->first, nullptr);
      state->last = nullptr;
      if (std::exchange(state->reserve_changed, false)) reserve = state->reserve;
      stop = state->stopping;
    }
    if (reserve > 0) state->driver->set_reserve(reserve);
    while (first != nullptr) {
      Request* request = first;
      first = request->next;
      state->driver->start(request);
    }
    if (stop && state->driver->active() == 0) break;
    state->queue->reap(kNoDeadline);
  }
  MutexLock lock(state->mutex);
  state->has_ended = true;
  state->ended.notify_all();
}

}  // namespace dmiofs
