// AsyncTask: a function on a libuv worker thread, and a promise for its outcome.
//
// THREAD SAFETY: made and settled on the environment's thread; `run` on a worker, where it must not touch Node-API.
// OWNERSHIP: deletes itself after the promise is settled; Node waits for or cancels it at the environment's end.
#pragma once

#include <napi.h>

#include <functional>
#include <optional>

#include "addon/convert.h"

namespace dmiofs {

class AsyncTask final : public Napi::AsyncWorker {
 public:
  using Run = std::function<std::optional<Error>()>;
  using Value = std::function<Napi::Value(Napi::Env)>;  // null: undefined

  static Napi::Value start(Napi::Env env, Run run, Value value = nullptr) {
    auto* task = new AsyncTask(env, std::move(run), std::move(value));
    const Napi::Promise promise = task->deferred_.Promise();
    task->Queue();
    return promise;
  }

 private:
  AsyncTask(Napi::Env env, Run run, Value value)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        run_(std::move(run)),
        value_(std::move(value)) {}
  void Execute() override { error_ = run_(); }
  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (error_)
      deferred_.Reject(to_js_error(Env(), *error_).Value());
    else
      deferred_.Resolve(value_ ? value_(Env()) : Env().Undefined());
  }

  Napi::Promise::Deferred deferred_;
  Run run_;
  Value value_;
  std::optional<Error> error_;
};

}  // namespace dmiofs
