// probeDevice: what a device or image file is, for config checks. Looks only: opens nothing for writing,
// locks nothing.
#include "addon/convert.h"
#include "addon/init.h"
#include "device/device.h"

namespace dmiofs {
namespace {

// DeviceProbe of src/native/device.ts. Device numbers and inodes are 64 bits wide: decimal strings.
Napi::Object probe_object(Napi::Env env, const DeviceInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  const bool block = info.kind == DeviceKind::kBlock;
  object.Set("path", info.path);
  object.Set("kind", block ? "block" : "file");
  object.Set("sizeBytes", number(env, info.size_bytes));
  object.Set("logicalBlockSize", number(env, info.logical_block_size));
  object.Set("direct", info.direct);
  object.Set("readOnly", info.read_only_medium);
  object.Set("rdev", std::to_string(info.rdev));
  object.Set("dev", std::to_string(info.fs_dev));
  object.Set("inode", std::to_string(info.identity.inode));
  object.Set("serial", info.identity.serial);
  return object;
}

Napi::Value probe_device(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsString()) {
    Napi::TypeError::New(env, "path must be a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto info = Device::probe(call[0].As<Napi::String>().Utf8Value());
  if (!info.ok()) {
    to_js_error(env, info.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return probe_object(env, info.value());
}

}  // namespace

void init_device(Napi::Env env, Napi::Object exports) {
  exports.Set("probeDevice", Napi::Function::New(env, probe_device, "probeDevice"));
}

}  // namespace dmiofs
