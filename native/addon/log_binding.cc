// createLog and inspectLog: the log of a set, for `init` and `table`. The log of a running set is opened by openSet.
#include <memory>

#include "addon/async_task.h"
#include "addon/convert.h"
#include "addon/init.h"
#include "addon/io_context.h"
#include "mirror/log_create.h"
#include "mirror/log_inspect.h"

namespace dmiofs {
namespace {

struct CreateLogRequest {
  CreateLogOptions options;
  std::vector<std::string> devices;  // by leg
};

// False with an exception pending.
bool parse_create(Napi::Value value, CreateLogRequest* request) {
  const Napi::Env env = value.Env();
  if (!value.IsObject()) {
    Napi::TypeError::New(env, "options must be an object").ThrowAsJavaScriptException();
    return false;
  }
  const Napi::Object object = value.As<Napi::Object>();
  CreateLogOptions& options = request->options;
  if (!get_string(object, "path", &options.path) || !get_uint(object, "count", &options.count) ||
      !get_uint(object, "syncRegionSectors", &options.sync_region_sectors) ||
      !get_bool(object, "inSync", &options.in_sync)) {
    return false;
  }
  const Napi::Value legs = object.Get("legs");
  if (!legs.IsArray()) {
    Napi::TypeError::New(env, "legs must be an array").ThrowAsJavaScriptException();
    return false;
  }
  const Napi::Array array = legs.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value leg = array.Get(i);
    LegRecord record;
    if (!leg.IsObject()) {
      Napi::TypeError::New(env, "a leg must be an object").ThrowAsJavaScriptException();
      return false;
    }
    if (!get_string(leg.As<Napi::Object>(), "device", &request->devices.emplace_back()) ||
        !get_uint(leg.As<Napi::Object>(), "sector", &record.sector)) {
      return false;
    }
    options.legs.push_back(std::move(record));
  }
  return true;
}

std::optional<Error> run_create(CreateLogRequest* request, LogCreation* outcome) {
  auto context = io_context();
  if (!context.ok()) return context.error();
  for (size_t i = 0; i < request->devices.size(); i++) {
    auto info = Device::probe(request->devices[i]);
    if (!info.ok()) return info.error();
    request->options.legs[i].identity = info.value().identity;
  }
  auto created = create_log(*context.value()->dm_io, request->options);
  if (!created.ok()) return created.error();
  *outcome = created.value();
  return std::nullopt;
}

Napi::Value create_log_js(const Napi::CallbackInfo& call) {
  auto request = std::make_shared<CreateLogRequest>();
  if (!parse_create(call.Length() > 0 ? call[0] : call.Env().Undefined(), request.get())) {
    return call.Env().Undefined();
  }
  auto outcome = std::make_shared<LogCreation>(LogCreation::kCreated);
  return AsyncTask::start(
      call.Env(), [request, outcome] { return run_create(request.get(), outcome.get()); },
      [outcome](Napi::Env env) -> Napi::Value {
        return Napi::String::New(env, *outcome == LogCreation::kAdopted ? "adopted" : "created");
      });
}

Napi::Object leg_object(Napi::Env env, const LegRecord& leg) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("uuid", to_string(leg.uuid));
  object.Set("state", to_string(leg.state));
  object.Set("kind", leg.identity.kind == DeviceKind::kBlock ? "block" : "file");
  object.Set("dev", std::to_string(leg.identity.dev));
  object.Set("inode", std::to_string(leg.identity.inode));
  object.Set("serial", leg.identity.serial);
  object.Set("sector", number(env, leg.sector));
  object.Set("count", number(env, leg.count));
  object.Set("leftGeneration", number(env, leg.left_generation));
  object.Set("errorKinds", number(env, leg.error_kinds));
  return object;
}

Napi::Object record_object(Napi::Env env, const SetRecord& record) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("uuid", to_string(record.uuid));
  object.Set("generation", number(env, record.generation));
  object.Set("clean", record.clean);
  object.Set("startCount", number(env, record.start_count));
  object.Set("count", number(env, record.count));
  object.Set("syncRegionSectors", number(env, record.sync_region_sectors));
  Napi::Array legs = Napi::Array::New(env, record.legs.size());
  for (size_t i = 0; i < record.legs.size(); i++) {
    legs.Set(static_cast<uint32_t>(i), leg_object(env, record.legs[i]));
  }
  object.Set("legs", legs);
  return object;
}

// LogInspection of src/native/log.ts.
Napi::Object inspection_object(Napi::Env env, const InspectedLog& inspected) {
  const ParsedLog& log = inspected.log;
  Napi::Object object = Napi::Object::New(env);
  object.Set("sizeBytes", number(env, inspected.size_bytes));
  object.Set("header", to_string(log.header.state));
  object.Set("version", number(env, log.header.version));
  object.Set("nrRegions", std::to_string(log.header.nr_regions));  // LVM writes 2^64 - 1
  object.Set("dirty", number(env, log.dirty));
  object.Set("owner", log.header.owner ? Napi::String::New(env, to_string(*log.header.owner)) : env.Null());
  const SetRecord* record = log.record.record();
  object.Set("record", record != nullptr ? record_object(env, *record) : env.Null());
  object.Set("problem", log.record.problem);
  return object;
}

Napi::Value inspect_log_js(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsString()) {
    Napi::TypeError::New(env, "path must be a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string path = call[0].As<Napi::String>().Utf8Value();
  auto inspected = std::make_shared<InspectedLog>();
  return AsyncTask::start(
      env,
      [path, inspected]() -> std::optional<Error> {
        auto context = io_context();
        if (!context.ok()) return context.error();
        auto result = inspect_log(*context.value()->dm_io, path);
        if (!result.ok()) return result.error();
        *inspected = result.take();
        return std::nullopt;
      },
      [inspected](Napi::Env at_end) -> Napi::Value { return inspection_object(at_end, *inspected); });
}

}  // namespace

void init_log(Napi::Env env, Napi::Object exports) {
  exports.Set("createLog", Napi::Function::New(env, create_log_js, "createLog"));
  exports.Set("inspectLog", Napi::Function::New(env, inspect_log_js, "inspectLog"));
}

}  // namespace dmiofs
