// Events of a mirror set, from any thread to a JavaScript function.
//
// THREAD SAFETY: the function made may be called on any thread; it does not block. OWNERSHIP: copies share one thread-safe function, released with
// the last; it does not keep the process alive.
#pragma once

#include <napi.h>

#include "mirror/mirror_set.h"

namespace dmiofs {

SetEventFn make_event_function(Napi::Env env, Napi::Function function);

}  // namespace dmiofs
