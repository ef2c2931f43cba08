// The dm-io services for JavaScript: devices, the page reserve, requests sync and async. JavaScript has checked what the arguments mean
// (src/dmio/); here their types and bounds are checked again, since a wrong one would touch memory that is not ours.
#include <cerrno>
#include <unordered_map>

#include "addon/async_task.h"
#include "addon/convert.h"
#include "addon/device_object.h"
#include "addon/dmio_environment.h"
#include "addon/init.h"
#include "addon/io_context.h"

namespace dmiofs {
namespace {

constexpr napi_type_tag kDeviceTag = {0x6f1d2c3b4a5968ull, 0x646d696f64657631ull};

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

// One request's arguments, parsed. Its memory descriptions must live as long as the request.
struct DmioRequest {
  IoOp op = IoOp::kRead;
  std::vector<IoRegion> where;
  std::vector<BioVec> vecs;
  std::vector<PageList> pages;
  MemoryCursor memory = MemoryCursor::vm(nullptr, 0);
  std::shared_ptr<DmioEnvironment> environment;
  double id = 0;
};

bool parse_piece(Napi::Value value, uint8_t** data, size_t* length) {
  // Not by way of its ArrayBuffer: there is none when the memory is shared between threads.
  napi_typedarray_type type = napi_int8_array;
  void* at = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, length, &at, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || (at == nullptr && *length > 0)) {
    return false;
  }
  *data = static_cast<uint8_t*>(at);
  return true;
}

// Arguments from `first`: op, devices, sectors, counts, kind, pieces, offsets, lengths. kind: 0 page list (offsets[0]: into the first page), 1 bvec,
// 2 vm buffer, 3 no memory.
bool parse_request(const Napi::CallbackInfo& call, size_t first, DmioRequest* request) {
  const auto at = [&call, first](size_t index) { return call[first + index]; };
  if (call.Length() < first + 8 || !at(0).IsNumber() || !at(1).IsArray() || !at(2).IsArray() ||
      !at(3).IsArray() || !at(4).IsNumber() || !at(5).IsArray() || !at(6).IsArray() || !at(7).IsArray()) {
    type_error(call.Env(), "a dm-io request has other arguments");
    return false;
  }
  const uint32_t op = at(0).As<Napi::Number>().Uint32Value();
  const uint32_t kind = at(4).As<Napi::Number>().Uint32Value();
  const auto devices = at(1).As<Napi::Array>();
  const auto sectors = at(2).As<Napi::Array>();
  const auto counts = at(3).As<Napi::Array>();
  const auto pieces = at(5).As<Napi::Array>();
  const auto offsets = at(6).As<Napi::Array>();
  const auto lengths = at(7).As<Napi::Array>();
  const auto number_at = [](const Napi::Array& array, uint32_t index) {
    const Napi::Value value = array.Get(index);
    return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : UINT64_MAX;
  };
  if (op >= kIoOps || kind > 3 || devices.Length() > kMaxIoRegions) {
    type_error(call.Env(), "op, kind or regions of a dm-io request are out of range");
    return false;
  }
  request->op = static_cast<IoOp>(op);
  for (uint32_t i = 0; i < devices.Length(); i++) {
    DeviceObject* device = DeviceObject::from(devices.Get(i));
    if (device == nullptr || device->device() == nullptr) {
      type_error(call.Env(), "a region's device is not open");
      return false;
    }
    request->where.push_back(IoRegion{device->device(), number_at(sectors, i), number_at(counts, i)});
  }
  for (uint32_t i = 0; i < pieces.Length(); i++) {
    uint8_t* data = nullptr;
    size_t length = 0;
    if (!parse_piece(pieces.Get(i), &data, &length)) {
      type_error(call.Env(), "a piece of memory is not a Uint8Array");
      return false;
    }
    const uint64_t offset = kind == 2 ? 0 : number_at(offsets, kind == 0 ? 0 : i);
    if (kind == 0) {
      if (length != kPageSize || offset >= kPageSize) {
        type_error(call.Env(), "a page has 4096 bytes, and the offset lies in the first");
        return false;
      }
      request->pages.push_back(PageList{nullptr, data});
    } else {
      const uint64_t wanted = kind == 1 ? number_at(lengths, i) : length;
      if (offset > length || wanted > length - offset) {
        type_error(call.Env(), "a vector lies beyond its page");
        return false;
      }
      request->vecs.push_back(BioVec{data, static_cast<size_t>(wanted), static_cast<size_t>(offset)});
    }
  }
  for (size_t i = 0; i + 1 < request->pages.size(); i++) request->pages[i].next = &request->pages[i + 1];
  if (kind == 0) {
    request->memory = MemoryCursor::page_list(request->pages.empty() ? nullptr : request->pages.data(),
                                              pieces.Length() == 0 ? 0 : number_at(offsets, 0));
  } else if (kind == 1) {
    request->memory = MemoryCursor::bvec(request->vecs.data(), request->vecs.size());
  } else if (kind == 2 && !request->vecs.empty()) {
    request->memory = MemoryCursor::vm(request->vecs[0].page, request->vecs[0].len);
  }
  return true;
}

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
  if (!parse_request(call, 1, request.get())) return env.Undefined();
  DmIo* dm_io = core(env);
  if (dm_io == nullptr) return env.Undefined();
  request->environment = state->environment;
  if (!state->environment->begin()) return Napi::Number::New(env, -ESHUTDOWN);
  const int err = dm_io->async(
      request->op, request->where, request->memory,
      [](ErrorBits error, const DmIoResult& result, void* context) {
        const std::unique_ptr<DmioRequest> ended(static_cast<DmioRequest*>(context));
        const std::shared_ptr<DmioEnvironment> environment = ended->environment;
        environment->complete(DmioCompletion{ended->id, error, positive_errnos(result, ended->where.size())});
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
  DmioRequest request;
  if (!parse_request(call, 0, &request)) return env.Undefined();
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
        Napi::Object object = state->device_class.New({});
        const DeviceInfo& info = (*device)->info();
        object.Set("path", info.path);
        object.Set("sectors", number(later, sectors_of(info.size_bytes)));
        object.Set("logicalBlockSize", number(later, info.logical_block_size));
        object.Set("writable", info.writable);
        DeviceObject::Unwrap(object)->attach(std::move(*device));
        return object;
      });
}

}  // namespace

Napi::Function DeviceObject::define(Napi::Env env) {
  return DefineClass(env, "NativeDevice", {InstanceMethod("release", &DeviceObject::release)});
}

DeviceObject::DeviceObject(const Napi::CallbackInfo& call) : Napi::ObjectWrap<DeviceObject>(call) {
  call.This().As<Napi::Object>().TypeTag(&kDeviceTag);
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
