// What the commands and the daemon need of the system and Node does not have: extended attributes, umount2, the log sink, protection from reclaim.
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include "addon/async_task.h"
#include "addon/init.h"
#include "addon/io_context.h"
#include "addon/js_callback.h"
#include "base/errno_name.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/unique_fd.h"

namespace dmiofs {
namespace {

constexpr size_t kMaxXattr = 64 * 1024;
constexpr int kPrSetIoFlusher = 57;  // PR_SET_IO_FLUSHER, Linux 5.6

bool want_strings(const Napi::CallbackInfo& call, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (call.Length() > i && call[i].IsString()) continue;
    Napi::TypeError::New(call.Env(), "argument " + std::to_string(i) + " must be a string")
        .ThrowAsJavaScriptException();
    return false;
  }
  return true;
}

Napi::Value get_xattr(const Napi::CallbackInfo& call) {
  if (!want_strings(call, 2)) return call.Env().Undefined();
  auto path = call[0].As<Napi::String>().Utf8Value();
  auto name = call[1].As<Napi::String>().Utf8Value();
  auto value = std::make_shared<std::vector<char>>(kMaxXattr);
  return AsyncTask::start(
      call.Env(),
      [path, name, value]() -> std::optional<Error> {
        const ssize_t length = getxattr(path.c_str(), name.c_str(), value->data(), value->size());
        if (length < 0) return Error{errno, "getxattr " + name, path, ""};
        value->resize(static_cast<size_t>(length));
        return std::nullopt;
      },
      [value](Napi::Env env) -> Napi::Value {
        return Napi::Buffer<char>::Copy(env, value->data(), value->size());
      });
}

Napi::Value set_xattr(const Napi::CallbackInfo& call) {
  if (!want_strings(call, 2)) return call.Env().Undefined();
  if (call.Length() < 3 || !call[2].IsBuffer()) {
    Napi::TypeError::New(call.Env(), "value must be a Buffer").ThrowAsJavaScriptException();
    return call.Env().Undefined();
  }
  auto path = call[0].As<Napi::String>().Utf8Value();
  auto name = call[1].As<Napi::String>().Utf8Value();
  const auto buffer = call[2].As<Napi::Buffer<char>>();
  auto value = std::make_shared<std::vector<char>>(buffer.Data(), buffer.Data() + buffer.Length());
  return AsyncTask::start(call.Env(), [path, name, value]() -> std::optional<Error> {
    if (setxattr(path.c_str(), name.c_str(), value->data(), value->size(), 0) == 0) return std::nullopt;
    return Error{errno, "setxattr " + name, path, ""};
  });
}

Napi::Value unmount(const Napi::CallbackInfo& call) {
  if (!want_strings(call, 1)) return call.Env().Undefined();
  auto path = call[0].As<Napi::String>().Utf8Value();
  const bool detach = call.Length() > 1 && call[1].ToBoolean().Value();
  return AsyncTask::start(call.Env(), [path, detach]() -> std::optional<Error> {
    if (umount2(path.c_str(), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) == 0) return std::nullopt;
    return Error{errno, "umount", path, errno == EBUSY ? "a file on it is open" : ""};
  });
}

// ---- the log sink: lines from any thread to one JavaScript function ----

Mutex g_sink_mutex;  // above base/log.h's own
std::shared_ptr<JsCallback> g_sink GUARDED_BY(g_sink_mutex);

void to_javascript(LogLevel level, const std::string& text, void* context) {
  static const char* const kNames[] = {"debug", "info", "warn", "error"};
  const bool taken = static_cast<JsCallback*>(context)->call([level, text](Napi::Env env) {
    return std::vector<napi_value>{Napi::String::New(env, kNames[static_cast<size_t>(level)]),
                                   Napi::String::New(env, text)};
  });
  if (!taken) std::fprintf(stderr, "dmiofs: %s\n", text.c_str());
}

Napi::Value set_sink(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  std::shared_ptr<JsCallback> sink;
  if (call.Length() > 0 && call[0].IsFunction()) {
    sink = JsCallback::make(env, call[0].As<Napi::Function>(), "dmiofs log");
  }
  MutexLock lock(g_sink_mutex);
  set_log_sink(sink == nullptr ? nullptr : to_javascript, sink.get());  // the one before is in use no more
  g_sink = std::move(sink);
  return env.Undefined();
}

// What the data path runs on: our code and libfuse's, and libc's below them.
bool on_data_path(const std::string& mapping) {
  for (const char* name : {"/dmiofs.node", "/libfuse.so", "/libc.so", "/libpthread.so", "/libstdc++.so"}) {
    if (mapping.find(name) != std::string::npos) return true;
  }
  return false;
}

// Keeps the data path's code and data in memory once they were touched; 0 or an errno.
int lock_data_path() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    if (!on_data_path(line)) continue;
    uintptr_t first = 0;
    uintptr_t last = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &first, &last) != 2) continue;
    if (mlock2(reinterpret_cast<void*>(first), last - first, MLOCK_ONFAULT) != 0) return errno;
  }
  auto context = io_context();
  return context.ok() ? context.value()->dm_io->lock_buffers() : context.error().err;
}

// A file system stacked on a set's file writes back through this process: while the kernel reclaims memory it
// must not wait for itself here. Not mlockall: V8 gives memory back with madvise(MADV_DONTNEED), which fails on
// locked memory, and ends the process when it does.
Napi::Value protect_from_reclaim(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Array missing = Napi::Array::New(env);
  uint32_t count = 0;
  if (prctl(kPrSetIoFlusher, 1, 0, 0, 0) != 0) {
    missing.Set(count++, "PR_SET_IO_FLUSHER: " + errno_name(errno) + " (needs CAP_SYS_RESOURCE)");
  }
  if (const int err = lock_data_path(); err != 0) {
    missing.Set(count++, "mlock: " + errno_name(err) + " (needs CAP_IPC_LOCK or a higher RLIMIT_MEMLOCK)");
  }
  return missing;
}

// Pages in flight are users' data: neither a core file nor another process of this user may see them.
Napi::Value keep_memory_private(const Napi::CallbackInfo& call) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    to_js_error(call.Env(), Error{errno, "keep memory private", "", ""}).ThrowAsJavaScriptException();
  return call.Env().Undefined();
}

// sd_notify(3): one datagram to the service manager's socket; "@name" is an abstract one.
Napi::Value notify_service(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (!want_strings(call, 2)) return env.Undefined();
  const std::string path = call[0].As<Napi::String>().Utf8Value();
  const std::string text = call[1].As<Napi::String>().Utf8Value();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  int err = 0;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    err = EINVAL;
  } else {
    path.copy(address.sun_path, path.size());
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    if (!fd.valid() || sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL,
                              reinterpret_cast<sockaddr*>(&address), length) < 0) {
      err = errno;
    }
  }
  if (err != 0) to_js_error(env, Error{err, "notify", path, ""}).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace

void init_system(Napi::Env env, Napi::Object exports) {
  exports.Set("getXattr", Napi::Function::New(env, get_xattr, "getXattr"));
  exports.Set("setXattr", Napi::Function::New(env, set_xattr, "setXattr"));
  exports.Set("umount", Napi::Function::New(env, unmount, "umount"));
  exports.Set("setLogSink", Napi::Function::New(env, set_sink, "setLogSink"));
  exports.Set("protectFromReclaim", Napi::Function::New(env, protect_from_reclaim, "protectFromReclaim"));
  exports.Set("keepMemoryPrivate", Napi::Function::New(env, keep_memory_private, "keepMemoryPrivate"));
  exports.Set("notifyService", Napi::Function::New(env, notify_service, "notifyService"));
}

}  // namespace dmiofs
