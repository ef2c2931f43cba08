// openSet: opens the legs of a mirror set and starts it.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "addon/convert.h"
#include "addon/init.h"
#include "addon/io_context.h"
#include "addon/set_events.h"
#include "addon/set_object.h"
#include "base/log.h"
#include "mirror/log_open.h"

namespace dmiofs {
namespace {

bool read_policy(const std::string& name, ReadPolicy* policy) {
  if (name == "primary")
    *policy = ReadPolicy::kPrimary;
  else if (name == "round-robin")
    *policy = ReadPolicy::kRoundRobin;
  else if (name == "fastest")
    *policy = ReadPolicy::kFastest;
  else
    return false;
  return true;
}

// A leg that is not there, or does not answer, is missing; one that is there and may not be used is an error.
bool means_missing(int err) {
  return err == ENOENT || err == ENXIO || err == ENODEV || err == EIO || err == ENOMEDIUM || err == ENOTDIR;
}

Result<LegOptions> open_leg(const std::string& device, sector_t sector, const MirrorSetOptions& set) {
  LegOptions leg;
  leg.device = device;
  leg.sector = sector;
  DeviceOpen how;
  how.writable = !set.read_only;
  how.share =
      true;  // several I/O regions may lie on one device: config/resolve.ts has seen that none overlap
  how.need_alignment = io_region_alignment(sector, set.count);
  auto opened = Device::open(device, how);
  if (!opened.ok()) {
    if (!means_missing(opened.error().err)) return opened.error();
    log_line(LogLevel::kWarn, "set " + set.name + ": leg " + std::to_string(set.legs.size()) +
                                  " is missing: " + opened.error().message());
    return leg;
  }
  leg.bdev = opened.take();
  if (leg.bdev->info().size_bytes < bytes_of(sector) + bytes_of(set.count)) {
    return Error{
        ENOSPC, "open", device,
        "its I/O region ends at sector " + std::to_string(sector + set.count) + ", beyond the device's end"};
  }
  return leg;
}

bool parse_set(Napi::Object object, MirrorSetOptions* options, Napi::Array* legs) {
  std::string policy;
  uint64_t timeout_ms = 0;
  if (!get_string(object, "name", &options->name) || !get_uint(object, "count", &options->count) ||
      !get_string(object, "readPolicy", &policy) || !get_uint(object, "ioTimeoutMs", &timeout_ms) ||
      !get_bool(object, "readOnly", &options->read_only) ||
      !get_uint(object, "syncRegionSectors", &options->sync_region_sectors)) {
    return false;
  }
  const Napi::Value list = object.Get("legs");
  if (!read_policy(policy, &options->read_policy) || !list.IsArray() || options->count == 0 ||
      options->count > UINT64_MAX >> 10 || options->sync_region_sectors == 0 ||
      !std::has_single_bit(options->sync_region_sectors)) {
    Napi::TypeError::New(object.Env(), "readPolicy, legs, count or syncRegionSectors is wrong")
        .ThrowAsJavaScriptException();
    return false;
  }
  options->io_timeout = static_cast<nanos_t>(timeout_ms) * kNanosPerMilli;
  uint64_t read_error_limit = options->read_error_limit;
  if (!get_optional_uint(object, "readErrorLimit", &read_error_limit)) return false;
  options->read_error_limit = static_cast<unsigned>(std::min<uint64_t>(read_error_limit, UINT32_MAX));
  *legs = list.As<Napi::Array>();
  return true;
}

bool parse_log(Napi::Object object, MirrorSetOptions* options, OpenLogOptions* log) {
  const Napi::Value value = object.Get("log");
  if (value.IsUndefined()) return true;
  std::string start;
  if (!value.IsObject()) {
    Napi::TypeError::New(object.Env(), "log must be an object").ThrowAsJavaScriptException();
    return false;
  }
  if (!get_string(value.As<Napi::Object>(), "path", &log->path) ||
      !get_string(value.As<Napi::Object>(), "start", &start)) {
    return false;
  }
  options->start = start == "all"        ? StartPolicy::kAll
                   : start == "majority" ? StartPolicy::kMajority
                                         : StartPolicy::kAny;
  return true;
}

// What the log says goes into the options; the legs are open by then.
Status use_log(DmIo& dm_io, OpenLogOptions log, MirrorSetOptions* options) {
  if (log.path.empty()) return ok_status();
  log.count = options->count;
  log.sync_region_sectors = options->sync_region_sectors;
  log.io_timeout = options->io_timeout;
  log.writable = !options->read_only;
  auto opened = open_log(dm_io, log);
  if (!opened.ok()) return opened.error();
  OpenedLog found = opened.take();
  if (!found.note.empty()) log_line(LogLevel::kWarn, "set " + options->name + ": " + found.note);
  options->log = found.log;
  options->record_store = found.record_store;
  options->record = std::move(found.record);
  options->log_distrusted = found.all_dirty || found.written_by_other;
  return ok_status();
}

Napi::Value open_set(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 2 || !call[0].IsObject() || !call[1].IsFunction()) {
    Napi::TypeError::New(env, "openSet takes options and a function").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto fail = [env](const Error& error) {
    to_js_error(env, error).ThrowAsJavaScriptException();
    return env.Undefined();
  };
  MirrorSetOptions options;
  OpenLogOptions log;
  Napi::Array legs;
  if (!parse_set(call[0].As<Napi::Object>(), &options, &legs) ||
      !parse_log(call[0].As<Napi::Object>(), &options, &log)) {
    return env.Undefined();
  }
  auto context = io_context();
  if (!context.ok()) return fail(context.error());
  for (uint32_t i = 0; i < legs.Length(); i++) {
    const Napi::Value item = legs.Get(i);
    std::string device;
    uint64_t sector = 0;
    if (!item.IsObject() || !get_string(item.As<Napi::Object>(), "device", &device) ||
        !get_uint(item.As<Napi::Object>(), "sector", &sector)) {
      if (!env.IsExceptionPending())
        Napi::TypeError::New(env, "a leg must be an object").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    auto leg = open_leg(device, sector, options);
    if (!leg.ok()) return fail(leg.error());
    LegOptions given = leg.take();
    if (const Napi::Value place = item.As<Napi::Object>().Get("replaces"); place.IsNumber())
      given.replaces = place.As<Napi::Number>().Int32Value();
    options.legs.push_back(std::move(given));
  }
  if (auto used = use_log(*context.value()->dm_io, log, &options); !used.ok()) return fail(used.error());
  options.on_event = make_event_function(env, call[1].As<Napi::Function>());
  auto made = MirrorSet::create(*context.value()->dm_io, std::move(options));
  if (!made.ok()) return fail(made.error());
  return SetObject::make(env, made.take());
}

}  // namespace

uint32_t io_region_alignment(sector_t sector, sector_t count) {
  const uint64_t bits = bytes_of(sector) | bytes_of(count) | kMaxLogicalBlockSize;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

void init_mirror(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(SetObject::define(env))));
  exports.Set("openSet", Napi::Function::New(env, open_set, "openSet"));
}

}  // namespace dmiofs
