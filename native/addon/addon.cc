// The addon's entry point: each area adds its exports.
#include <napi.h>

namespace {

Napi::Object init(Napi::Env, Napi::Object exports) { return exports; }

}  // namespace

NODE_API_MODULE(dmiofs, init)
