// The dm-io services for JavaScript: devices, the page reserve, requests sync and async (src/dmio/).
#include <cerrno>
#include <unordered_map>

#include "addon/async_task.h"
#include "addon/convert.h"
#include "addon/device_object.h"
#include "addon/dmio_arguments.h"
#include "addon/dmio_environment.h"
#include "addon/init.h"
#include "addon/io_context.h"

namespace dmiofs {
namespace {

// What belongs to one environment.
struct DmioState {
  Napi::FunctionReference device_class;
  std::shared_ptr<DmioEnvironment> environment;
};

Mutex g_mutex;
std::unordered_map<napi_env, std::unique_ptr<DmioState>> g_states GUARDED_BY(g_mutex);

DmioState* state_of(Napi::Env env) {
  MutexLock lock(g_mutex);
  const auto found = g_states.find(env);
  return found == g_states.end() ? nullptr : found->second.get();
}

Napi::Value type_error(Napi::Env env, const char* what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
  return env.Undefined();
}

// An asynchronous request under way.
struct DmioRequest {
  DmioArguments arguments;
  std::shared_ptr<DmioEnvironment> environment;
  double id = 0;
};

DmIo* core(Napi::Env env) {
  auto context = io_context();
  if (context.ok()) return context.value()->dm_io.get();
  to_js_error(env, context.error()).ThrowAsJavaScriptException();
  return nullptr;
}

// dmioStart(id, ...): 0, or a negative errno: then nothing was started and nothing will be called.
Napi::Value dmio_start(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  DmioState* state = state_of(env);
  if (state == nullptr || state->environment == nullptr) return type_error(env, "dmioListen comes first");
  auto request = std::make_unique<DmioRequest>();
  if (!call[0].IsNumber()) return type_error(env, "id must be a number");
  request->id = call[0].As<Napi::Number>().DoubleValue();
  if (!parse_arguments(call, 1, &request->arguments)) return env.Undefined();
  DmIo* dm_io = core(env);
  if (dm_io == nullptr) return env.Undefined();
  request->environment = state->environment;
  if (!state->environment->begin()) return Napi::Number::New(env, -ESHUTDOWN);
  const int err = dm_io->async(
      request->arguments.op, request->arguments.where, request->arguments.memory,
      [](ErrorBits error, const DmIoResult& result, void* context) {
        const std::unique_ptr<DmioRequest> ended(static_cast<DmioRequest*>(context));
        const std::shared_ptr<DmioEnvironment> environment = ended->environment;
        environment->complete(
            DmioCompletion{ended->id, error, positive_errnos(result, ended->arguments.where.size())});
      },
      request.get());
  if (err == 0)
    (void)request.release();
  else
    state->environment->abandon();
  return Napi::Number::New(env, err);
}

// dmioRun(...): a negative errno, or [error bits, errnos].
Napi::Value dmio_run(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  DmioArguments request;
  if (!parse_arguments(call, 0, &request)) return env.Undefined();
  DmIo* dm_io = core(env);
  if (dm_io == nullptr) return env.Undefined();
  DmIoResult result;
  const int err = dm_io->sync(request.op, request.where, request.memory, &result);
  if (err != 0) return Napi::Number::New(env, err);
  Napi::Array out = Napi::Array::New(env, 2);
  out.Set(0u, Napi::Value(env, error_bits_value(env, result.error_bits)));
  out.Set(1u, Napi::Value(env, errnos_value(env, positive_errnos(result, request.where.size()))));
  return out;
}

Napi::Value dmio_listen(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  DmioState* state = state_of(env);
  if (state == nullptr || call.Length() < 1 || !call[0].IsFunction())
    return type_error(env, "dmioListen takes a function");
  if (state->environment != nullptr) return type_error(env, "dmioListen was called before");
  state->environment = DmioEnvironment::make(env, call[0].As<Napi::Function>());
  return env.Undefined();
}

Napi::Value dmio_pages(const Napi::CallbackInfo& call, bool get) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsNumber()) return type_error(env, "numPages must be a number");
  DmIo* dm_io = core(env);
  if (dm_io == nullptr) return env.Undefined();
  const uint32_t pages = call[0].As<Napi::Number>().Uint32Value();
  return Napi::Number::New(env, get ? dm_io->get(pages) : dm_io->put(pages));
}

Napi::Value open_device(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 2 || !call[0].IsString() || !call[1].IsObject())
    return type_error(env, "openDevice takes a path and options");
  DeviceOpen how;
  if (!get_bool(call[1].As<Napi::Object>(), "writable", &how.writable) ||
      !get_bool(call[1].As<Napi::Object>(), "exclusive", &how.exclusive)) {
    return env.Undefined();
  }
  how.need_alignment = kMaxLogicalBlockSize;
  const std::string path = call[0].As<Napi::String>().Utf8Value();
  auto device = std::make_shared<std::shared_ptr<Device>>();
  return AsyncTask::start(
      env,
      [path, how, device]() -> std::optional<Error> {
        auto opened = Device::open(path, how);
        if (!opened.ok()) return opened.error();
        *device = opened.take();
        return std::nullopt;
      },
      [device](Napi::Env later) -> Napi::Value {
        DmioState* state = state_of(later);
        if (state == nullptr) return later.Undefined();
        return DeviceObject::make(state->device_class, std::move(*device));
      });
}

}  // namespace

void init_dmio(Napi::Env env, Napi::Object exports) {
  auto state = std::make_unique<DmioState>();
  state->device_class = Napi::Persistent(DeviceObject::define(env));
  {
    MutexLock lock(g_mutex);
    g_states[env] = std::move(state);
  }
  env.AddCleanupHook([key = napi_env(env)] {
    std::unique_ptr<DmioState> ending;
    {
      MutexLock lock(g_mutex);
      ending = std::move(g_states[key]);
      g_states.erase(key);
    }
    if (ending->environment != nullptr) ending->environment->close();
  });
  exports.Set("dmioListen", Napi::Function::New(env, dmio_listen, "dmioListen"));
  exports.Set("dmioStart", Napi::Function::New(env, dmio_start, "dmioStart"));
  exports.Set("dmioRun", Napi::Function::New(env, dmio_run, "dmioRun"));
  exports.Set("dmioGet",
              Napi::Function::New(
                  env, [](const Napi::CallbackInfo& call) { return dmio_pages(call, true); }, "dmioGet"));
  exports.Set("dmioPut",
              Napi::Function::New(
                  env, [](const Napi::CallbackInfo& call) { return dmio_pages(call, false); }, "dmioPut"));
  exports.Set("openDevice", Napi::Function::New(env, open_device, "openDevice"));
}

}  // namespace dmiofs
