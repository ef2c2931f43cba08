#include "addon/js_callback.h"

namespace dmiofs {

// Shared with the environment's cleanup hook, which may come before or after the last JsCallback went.
struct JsCallback::Shared {
  // Held over the call into the thread-safe function, which queues and does not run JavaScript: the environment must not take the function away
  // in between (its own teardown does not wait for callers).
  Mutex mutex;
  bool open GUARDED_BY(mutex) = true;
  Napi::ThreadSafeFunction function GUARDED_BY(mutex);

  void close() {
    MutexLock lock(mutex);
    if (!open) return;
    open = false;
    function.Release();
  }
};

std::shared_ptr<JsCallback> JsCallback::make(Napi::Env env, Napi::Function function, const char* name) {
  auto shared = std::make_shared<Shared>();
  {
    MutexLock lock(shared->mutex);
    shared->function = Napi::ThreadSafeFunction::New(env, function, name, 0, 1);
    shared->function.Unref(env);
  }
  // After the thread-safe function's own hook was added, hence run before it.
  env.AddCleanupHook(
      [](std::shared_ptr<Shared>* hook) {
        (*hook)->close();
        delete hook;
      },
      new std::shared_ptr<Shared>(shared));
  return std::shared_ptr<JsCallback>(new JsCallback(std::move(shared)));
}

JsCallback::~JsCallback() { shared_->close(); }

void JsCallback::close() { shared_->close(); }

bool JsCallback::call(Arguments arguments) {
  MutexLock lock(shared_->mutex);
  if (!shared_->open) return false;
  auto* made = new Arguments(std::move(arguments));
  const napi_status status =
      shared_->function.NonBlockingCall(made, [](Napi::Env env, Napi::Function function, Arguments* given) {
        const std::unique_ptr<Arguments> owned(given);
        if (env == nullptr) return;
        const Napi::HandleScope scope(env);
        function.Call((*owned)(env));
      });
  if (status == napi_ok) return true;
  delete made;
  return false;
}

}  // namespace dmiofs
