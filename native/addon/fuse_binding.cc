// The mount: libfuse opened by path, a context for the module to take up, and what JavaScript asks of it while it runs.
#include <cerrno>

#include "addon/convert.h"
#include "addon/init.h"
#include "addon/js_callback.h"
#include "addon/set_object.h"
#include "fusemod/kernel_protocol.h"
#include "fusemod/mount_context.h"

namespace dmiofs {
namespace {

constexpr uint64_t kLeave = UINT32_MAX;
Napi::Value fuse_load(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsString()) {
    Napi::TypeError::New(env, "path must be a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (auto loaded = load_fuse(call[0].As<Napi::String>().Utf8Value()); !loaded.ok()) {
    to_js_error(env, loaded.error()).ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

bool parse_file(Napi::Object object, MountedFile* file) {
  SetObject* set = unwrap_set(object.Get("set"));
  if (set == nullptr) return false;
  file->set = set->set();
  uint64_t mode = 0, uid = 0, gid = 0;
  std::string truncate, cache;
  if (!get_string(object, "name", &file->name) || !get_uint(object, "mode", &mode) ||
      !get_uint(object, "uid", &uid) || !get_uint(object, "gid", &gid) ||
      !get_string(object, "truncate", &truncate) || !get_string(object, "cache", &cache) ||
      !get_bool(object, "readOnly", &file->read_only)) {
    return false;
  }
  if ((truncate != "zero" && truncate != "deny") ||
      (cache != "auto" && cache != "none" && cache != "writeback")) {
    Napi::TypeError::New(object.Env(), "truncate or cache is none of those known")
        .ThrowAsJavaScriptException();
    return false;
  }
  file->truncate = truncate == "deny" ? TruncateRule::kDeny : TruncateRule::kZero;
  file->cache = cache == "none"        ? CacheMode::kNone
                : cache == "writeback" ? CacheMode::kWriteback
                                       : CacheMode::kAuto;
  MutexLock lock(file->mutex);
  file->attr.mode = static_cast<mode_t>(mode & 0777);
  file->attr.uid = static_cast<uid_t>(uid);
  file->attr.gid = static_cast<gid_t>(gid);
  clock_gettime(CLOCK_REALTIME, &file->attr.mtime);
  file->attr.atime = file->attr.ctime = file->attr.mtime;
  return true;
}

Napi::Value fuse_attach(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsObject()) {
    Napi::TypeError::New(env, "options must be an object").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto options = call[0].As<Napi::Object>();
  const Napi::Value sets = options.Get("sets");
  const Napi::Value on_end = options.Get("onEnd");
  if (!sets.IsArray() || !on_end.IsFunction()) {
    Napi::TypeError::New(env, "sets must be an array and onEnd a function").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto context = std::make_shared<MountContext>();
  if (!get_optional_bool(options, "stockSession", &context->stock_session) ||
      !get_optional_bool(options, "writebackCache", &context->features.want_writeback)) {
    return env.Undefined();
  }
  clock_gettime(CLOCK_REALTIME, &context->started);
  context->root_uid = geteuid();
  context->root_gid = getegid();
  const auto list = sets.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    auto file = std::make_unique<MountedFile>();
    if (!item.IsObject() || !parse_file(item.As<Napi::Object>(), file.get())) {
      if (!env.IsExceptionPending())
        Napi::TypeError::New(env, "a set must be an object").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    context->add(std::move(file));
  }
  context->on_end = [end = JsCallback::make(env, on_end.As<Napi::Function>(), "dmiofs mount end")] {
    end->call([](Napi::Env) { return std::vector<napi_value>{}; });
  };
  const Napi::Value on_grown = options.Get("onGrown");
  if (on_grown.IsFunction()) {
    context->on_grown = [grown = JsCallback::make(env, on_grown.As<Napi::Function>(), "dmiofs file grown")](
                            const MountedFile& file) {
      grown->call(
          [name = file.name](Napi::Env to) { return std::vector<napi_value>{Napi::String::New(to, name)}; });
    };
  }
  return number(env, attach_mount(std::move(context)));
}

std::shared_ptr<MountContext> mount_argument(const Napi::CallbackInfo& call) {
  std::shared_ptr<MountContext> found;
  if (call.Length() > 0 && call[0].IsNumber()) found = find_mount(call[0].As<Napi::Number>().Uint32Value());
  if (found == nullptr) Napi::TypeError::New(call.Env(), "no such mount").ThrowAsJavaScriptException();
  return found;
}

Napi::Value fuse_counters(const Napi::CallbackInfo& call) {
  const auto mount = mount_argument(call);
  if (mount == nullptr) return call.Env().Undefined();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("native", number(call.Env(), mount->counters.native));
  object.Set("forwarded", number(call.Env(), mount->counters.forwarded));
  object.Set("read", number(call.Env(), mount->counters.read));
  object.Set("write", number(call.Env(), mount->counters.write));
  object.Set("getattr", number(call.Env(), mount->counters.getattr));
  return object;
}

Napi::Value fuse_session(const Napi::CallbackInfo& call) {
  const auto mount = mount_argument(call);
  if (mount == nullptr) return call.Env().Undefined();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("shim", mount->shim.load());
  object.Set("kernelMinor", mount->features.kernel_minor());
  object.Set("maxRequest", number(call.Env(), mount->shim ? mount->features.max_request() : 128 * 1024));
  object.Set("asyncDirectIo", (mount->features.granted() & kernel::kInitAsyncDio) != 0);
  object.Set("parallelDirectWrites",
             mount->shim && mount->features.open_flags(kernel::kOpenDirectIo) != kernel::kOpenDirectIo);
  object.Set("writebackCache", mount->features.writeback());
  return object;
}

Napi::Value fuse_set_attr(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const auto mount = mount_argument(call);
  if (mount == nullptr) return env.Undefined();
  if (call.Length() < 3 || !call[1].IsString() || !call[2].IsObject()) {
    Napi::TypeError::New(env, "fuseSetAttr takes a mount, a name and attributes")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto found = mount->by_name.find(call[1].As<Napi::String>().Utf8Value());
  if (found == mount->by_name.end()) {
    to_js_error(env, Error{ENOENT, "set attributes", "", ""}).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  // All are parsed before the lock is taken: getters are JavaScript. The kernel's "leave it" of chown(2) is all ones.
  const auto wanted = call[2].As<Napi::Object>();
  uint64_t mode = kLeave, uid = kLeave, gid = kLeave;
  if (!get_optional_uint(wanted, "mode", &mode) || !get_optional_uint(wanted, "uid", &uid) ||
      !get_optional_uint(wanted, "gid", &gid)) {
    return env.Undefined();
  }
  MountedFile& file = *found->second;
  MutexLock lock(file.mutex);
  if (mode != kLeave) file.attr.mode = static_cast<mode_t>(mode & 0777);
  if (uid < kLeave) file.attr.uid = static_cast<uid_t>(uid);
  if (gid < kLeave) file.attr.gid = static_cast<gid_t>(gid);
  clock_gettime(CLOCK_REALTIME, &file.attr.ctime);
  return env.Undefined();
}

}  // namespace

void init_fuse(Napi::Env env, Napi::Object exports) {
  exports.Set("fuseLoad", Napi::Function::New(env, fuse_load, "fuseLoad"));
  exports.Set("fuseAttach", Napi::Function::New(env, fuse_attach, "fuseAttach"));
  exports.Set("fuseCounters", Napi::Function::New(env, fuse_counters, "fuseCounters"));
  exports.Set("fuseSession", Napi::Function::New(env, fuse_session, "fuseSession"));
  exports.Set("fuseSetAttr", Napi::Function::New(env, fuse_set_attr, "fuseSetAttr"));
}

}  // namespace dmiofs
