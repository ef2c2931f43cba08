// The addon's entry point: each area adds its exports.
#include <napi.h>

#include "addon/init.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  dmiofs::init_device(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(dmiofs, init)
