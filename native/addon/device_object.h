// DeviceObject: an open device as a JavaScript object (NativeDevice of src/native/dmio.ts).
//
// STATES: open --release()--> released: no I/O can be started on it. THREAD SAFETY: the environment's thread.
// OWNERSHIP: shares the device with the requests under way on it.
#pragma once

#include <napi.h>

#include <memory>

#include "device/device.h"

namespace dmiofs {

class DeviceObject final : public Napi::ObjectWrap<DeviceObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // `device_class`: of define().
  static Napi::Object make(const Napi::FunctionReference& device_class, std::shared_ptr<Device> device);
  explicit DeviceObject(const Napi::CallbackInfo& call);

  const std::shared_ptr<Device>& device() const { return device_; }  // null: released
  static DeviceObject* from(Napi::Value value);                      // null: it is not one

 private:
  Napi::Value release(const Napi::CallbackInfo& call);
  std::shared_ptr<Device> device_;
};

}  // namespace dmiofs
