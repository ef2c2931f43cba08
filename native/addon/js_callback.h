// JsCallback: a JavaScript function that native threads may call, late, often, or never.
//
// STATES: open --the environment ends, or close()--> closed: calls do nothing. It never keeps the process alive.
// THREAD SAFETY: call() any thread; make() and close() the environment's thread. Calls never block and arrive in order.
// OWNERSHIP: shared_ptr by who calls; the environment closes it before it goes.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace dmiofs {

class JsCallback {
 public:
  // Runs on the environment's thread and calls the function with what it makes of it.
  using Arguments = std::function<std::vector<napi_value>(Napi::Env env)>;

  static std::shared_ptr<JsCallback> make(Napi::Env env, Napi::Function function, const char* name);
  ~JsCallback();

  bool call(Arguments arguments);  // false: closed
  void close();

  JsCallback(const JsCallback&) = delete;
  JsCallback& operator=(const JsCallback&) = delete;

 private:
  struct Shared;
  explicit JsCallback(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  const std::shared_ptr<Shared> shared_;
};

}  // namespace dmiofs
