#include "addon/set_events.h"

#include <vector>

#include "addon/convert.h"
#include "addon/js_callback.h"

namespace dmiofs {
namespace {

const char* event_name(SetEventKind kind) {
  switch (kind) {
    case SetEventKind::kLegFailed: return "leg-failed";
    case SetEventKind::kDegradedAtStart: return "degraded-at-start";
    case SetEventKind::kSetFailed: return "set-failed";
    case SetEventKind::kLogFailed: return "log-failed";
    case SetEventKind::kSyncNeeded: return "sync-needed";
  }
  return "?";
}

Napi::Value event_object(Napi::Env env, const SetEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", event_name(event.kind));
  object.Set("leg", event.leg);
  object.Set("errno", event.err);
  object.Set("sector", number(env, event.sector));
  return object;
}

}  // namespace

SetEventFn make_event_function(Napi::Env env, Napi::Function function) {
  return [callback = JsCallback::make(env, function, "dmiofs set event")](const SetEvent& event) {
    callback->call([event](Napi::Env at) { return std::vector<napi_value>{event_object(at, event)}; });
  };
}

}  // namespace dmiofs
