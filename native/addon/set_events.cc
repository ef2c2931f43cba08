#include "addon/set_events.h"

#include <memory>

#include "addon/convert.h"

namespace dmiofs {
namespace {

const char* event_name(SetEventKind kind) {
  switch (kind) {
    case SetEventKind::kLegFailed: return "leg-failed";
    case SetEventKind::kDegradedAtStart: return "degraded-at-start";
    case SetEventKind::kResyncStarted: return "resync-started";
    case SetEventKind::kResyncFinished: return "resync-finished";
    case SetEventKind::kSetFailed: return "set-failed";
    case SetEventKind::kMismatch: return "mismatch";
    case SetEventKind::kLogFailed: return "log-failed";
    case SetEventKind::kSyncNeeded: return "sync-needed";
  }
  return "?";
}

void call_event(Napi::Env env, Napi::Function function, std::nullptr_t*, SetEvent* event) {
  const std::unique_ptr<SetEvent> owned(event);
  if (env == nullptr || function.IsEmpty()) return;
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", event_name(event->kind));
  object.Set("leg", event->leg);
  object.Set("errno", event->err);
  object.Set("sector", number(env, event->sector));
  function.Call({object});
}

using EventFunction = Napi::TypedThreadSafeFunction<std::nullptr_t, SetEvent, call_event>;

}  // namespace

SetEventFn make_event_function(Napi::Env env, Napi::Function function) {
  auto* made = new EventFunction(
      EventFunction::New(env, function, "dmiofs set event", 0, 1, static_cast<std::nullptr_t*>(nullptr)));
  made->Unref(env);
  const std::shared_ptr<EventFunction> shared(made, [](EventFunction* ended) {
    ended->Release();
    delete ended;
  });
  return [shared](const SetEvent& event) {
    auto* copy = new SetEvent(event);
    if (shared->NonBlockingCall(copy) != napi_ok) delete copy;
  };
}

}  // namespace dmiofs
