#include "fusemod/libfuse.h"

#include <dlfcn.h>

#include <cerrno>

#include "base/mutex.h"
#include "fusemod/module.h"
#include "fusemod/mount_context.h"

namespace dmiofs {
namespace {

Mutex g_mutex;
std::string* g_path GUARDED_BY(g_mutex) = nullptr;  // null: not loaded
Libfuse g_libfuse;

// Looks functions up and remembers the first that is not there.
class Symbols {
 public:
  explicit Symbols(void* handle) : handle_(handle) {}

  // `version`: where the library has several of one name, dlsym() could take an old one.
  template <typename Function>
  void find(Function* out, const char* name, const char* version = nullptr) {
    void* symbol = version == nullptr ? dlsym(handle_, name) : dlvsym(handle_, name, version);
    if (symbol == nullptr && missing_.empty()) missing_ = name;
    *out = reinterpret_cast<Function>(symbol);
  }
  const std::string& missing() const { return missing_; }

 private:
  void* const handle_;
  std::string missing_;
};

std::string find_all(void* handle, Libfuse* out) {
  Symbols symbols(handle);
  symbols.find(&out->register_module, "fuse_register_module");
  symbols.find(&out->get_context, "fuse_get_context", "FUSE_2.8");
  symbols.find(&out->opt_parse, "fuse_opt_parse");
  symbols.find(&out->fs_new, "fuse_fs_new");
  symbols.find(&out->fs_init, "fuse_fs_init");
  symbols.find(&out->fs_readdir, "fuse_fs_readdir");
  symbols.find(&out->fs_chmod, "fuse_fs_chmod");
  symbols.find(&out->fs_chown, "fuse_fs_chown");
  symbols.find(&out->fs_getxattr, "fuse_fs_getxattr");
  symbols.find(&out->fs_listxattr, "fuse_fs_listxattr");
  symbols.find(&out->fs_setxattr, "fuse_fs_setxattr");
  symbols.find(&out->mount, "fuse_mount", "FUSE_2.6");
  symbols.find(&out->new_session, "fuse_new", "FUSE_2.6");
  symbols.find(&out->unmount, "fuse_unmount", "FUSE_2.6");
  symbols.find(&out->unmount_path, "fuse_unmount", "FUSE_2.2");
  symbols.find(&out->chan_new, "fuse_chan_new", "FUSE_2.6");
  symbols.find(&out->chan_destroy, "fuse_chan_destroy");
  symbols.find(&out->chan_fd, "fuse_chan_fd");
  symbols.find(&out->chan_data, "fuse_chan_data");
  symbols.find(&out->chan_bufsize, "fuse_chan_bufsize");
  symbols.find(&out->chan_session, "fuse_chan_session");
  symbols.find(&out->session_exit, "fuse_session_exit");
  symbols.find(&out->session_exited, "fuse_session_exited");
  symbols.find(&out->session_process, "fuse_session_process");
  symbols.find(&out->session_next_chan, "fuse_session_next_chan");
  symbols.find(&out->get_session, "fuse_get_session");
  symbols.find(&out->loop_mt, "fuse_loop_mt");
  return symbols.missing();
}

}  // namespace

const Libfuse& libfuse() { return g_libfuse; }

Status load_fuse(const std::string& path) {
  MutexLock lock(g_mutex);
  if (g_path != nullptr) {
    if (*g_path == path) return ok_status();
    return Error{EALREADY, "load libfuse", path, *g_path + " serves this process"};
  }
  if (dlopen("libfuse.so.2", RTLD_NOW | RTLD_NOLOAD) != nullptr) {
    return Error{EBUSY, "load libfuse", path,
                 "another libfuse is loaded: fuse-native was required before the addon"};
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Error{ELIBACC, "load libfuse", path, reason == nullptr ? "" : reason};
  }
  Libfuse found;
  if (const std::string missing = find_all(handle, &found); !missing.empty()) {
    return Error{ELIBBAD, "load libfuse", path, "it has no " + missing + ": libfuse 2.9 is needed"};
  }
  g_libfuse = found;
  g_libfuse.register_module(fuse_module_entry());
  g_path = new std::string(path);
  return ok_status();
}

}  // namespace dmiofs
