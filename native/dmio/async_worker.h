// AsyncWorker: the thread that runs the asynchronous dm-io services, with a queue of its own.
//
// Requests come in by a list under a mutex and wake the thread; it starts them in order, as far as the
// reserve goes, and completes them.
//
// STATES: running --destructor--> no more requests taken, waits (bounded) for those in flight
// --> joined, or left behind with a hung device.
// THREAD SAFETY: start() and set_reserve() from any thread. LOCK ORDER: leaf; not held over I/O or a
// callback.
// OWNERSHIP: owns queue and driver, and shares the engine: a thread left behind still uses it.
#pragma once

#include <memory>
#include <thread>

#include "base/mutex.h"
#include "dmio/request_driver.h"

namespace dmiofs {

class AsyncWorker {
 public:
  static Result<std::unique_ptr<AsyncWorker>> create(std::shared_ptr<Engine> engine, unsigned depth,
                                                     unsigned reserve);
  ~AsyncWorker();

  void start(Request* request);  // `request->complete` runs on this worker's thread
  void set_reserve(unsigned chunks);

 private:
  struct State;
  explicit AsyncWorker(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static void run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace dmiofs
