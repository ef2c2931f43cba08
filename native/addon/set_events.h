// Events of a mirror set, from any thread to a JavaScript function.
//
// THREAD SAFETY: the function made may be called on any thread; it does not block. OWNERSHIP: copies share one JsCallback.
#pragma once

#include <napi.h>

#include "mirror/mirror_set.h"

namespace dmiofs {

SetEventFn make_event_function(Napi::Env env, Napi::Function function);

}  // namespace dmiofs
