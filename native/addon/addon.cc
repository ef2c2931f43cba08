// The addon's entry point: each area adds its exports.
#include <napi.h>

#include "addon/init.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  dmiofs::init_device(env, exports);
  dmiofs::init_system(env, exports);
  dmiofs::init_io(env, exports);
  dmiofs::init_dmio(env, exports);
  dmiofs::init_log(env, exports);
  dmiofs::init_mirror(env, exports);
  dmiofs::init_fuse(env, exports);
  dmiofs::init_stages(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(dmiofs, init)
