#include "addon/device_object.h"

#include "addon/convert.h"

namespace dmiofs {
namespace {

constexpr napi_type_tag kDeviceTag = {0x6f1d2c3b4a5968ull, 0x646d696f64657631ull};

}  // namespace

Napi::Function DeviceObject::define(Napi::Env env) {
  return DefineClass(env, "NativeDevice", {InstanceMethod("release", &DeviceObject::release)});
}

DeviceObject::DeviceObject(const Napi::CallbackInfo& call) : Napi::ObjectWrap<DeviceObject>(call) {
  call.This().As<Napi::Object>().TypeTag(&kDeviceTag);
}

Napi::Object DeviceObject::make(const Napi::FunctionReference& device_class, std::shared_ptr<Device> device) {
  const Napi::Env env = device_class.Env();
  Napi::Object object = device_class.New({});
  const DeviceInfo& info = device->info();
  object.Set("path", info.path);
  object.Set("sectors", number(env, sectors_of(info.size_bytes)));
  object.Set("logicalBlockSize", number(env, info.logical_block_size));
  object.Set("writable", info.writable);
  DeviceObject::Unwrap(object)->device_ = std::move(device);
  return object;
}

DeviceObject* DeviceObject::from(Napi::Value value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kDeviceTag)) return nullptr;
  return DeviceObject::Unwrap(value.As<Napi::Object>());
}

// Closes the device once the last request on it has ended.
Napi::Value DeviceObject::release(const Napi::CallbackInfo& call) {
  device_.reset();
  return call.Env().Undefined();
}

}  // namespace dmiofs
