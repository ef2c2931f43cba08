#include "addon/dmio_environment.h"

#include <utility>

namespace dmiofs {

napi_value error_bits_value(Napi::Env env, ErrorBits bits) {
  if (bits == 0) return Napi::Number::New(env, 0);
  return Napi::BigInt::New(env, bits);
}

napi_value errnos_value(Napi::Env env, const std::vector<int>& errnos) {
  if (errnos.empty()) return env.Null();
  Napi::Array array = Napi::Array::New(env, errnos.size());
  for (uint32_t i = 0; i < errnos.size(); i++) array.Set(i, errnos[i]);
  return array;
}

std::vector<int> positive_errnos(const DmIoResult& result, size_t regions) {
  std::vector<int> errnos;
  if (result.error_bits == 0) return errnos;
  for (size_t i = 0; i < regions; i++) errnos.push_back(-result.errnos[i]);
  return errnos;
}

std::shared_ptr<DmioEnvironment> DmioEnvironment::make(Napi::Env env, Napi::Function on_complete) {
  auto environment = std::make_shared<DmioEnvironment>();
  environment->callback_ = JsCallback::make(env, on_complete, "dmiofs dm-io");
  return environment;
}

bool DmioEnvironment::begin() {
  MutexLock lock(mutex_);
  if (closing_) return false;
  in_flight_++;
  return true;
}

void DmioEnvironment::abandon() {
  MutexLock lock(mutex_);
  if (--in_flight_ == 0) changed_.notify_all();
}

void DmioEnvironment::complete(DmioCompletion completion) {
  bool schedule = false;
  {
    MutexLock lock(mutex_);
    if (!closing_) {
      completed_.push_back(std::move(completion));
      schedule = !std::exchange(scheduled_, true);
    }
  }
  if (schedule) {
    callback_->call([self = shared_from_this()](Napi::Env env) {
      std::vector<napi_value> arguments;
      self->drain(env, &arguments);
      return arguments;
    });
  }
  // Last: when the count is 0 the environment may go.
  abandon();
}

void DmioEnvironment::drain(Napi::Env env, std::vector<napi_value>* out) {
  std::vector<DmioCompletion> batch;
  {
    MutexLock lock(mutex_);
    batch.swap(completed_);
    scheduled_ = false;
  }
  Napi::Array flat = Napi::Array::New(env, batch.size() * 3);
  uint32_t at = 0;
  for (const DmioCompletion& completion : batch) {
    flat.Set(at++, Napi::Number::New(env, completion.id));
    flat.Set(at++, Napi::Value(env, error_bits_value(env, completion.error_bits)));
    flat.Set(at++, Napi::Value(env, errnos_value(env, completion.errnos)));
  }
  out->push_back(flat);
}

void DmioEnvironment::close() {
  MutexLock lock(mutex_);
  closing_ = true;
  // The memory of what is in flight goes with the environment: it must end first.
  while (in_flight_ > 0) changed_.wait(mutex_);
  completed_.clear();
}

}  // namespace dmiofs
