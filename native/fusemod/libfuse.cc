#include "fusemod/libfuse.h"

#include <dlfcn.h>

#include <cerrno>

namespace dmiofs {
namespace {

Libfuse g_libfuse;
bool g_loaded = false;

template <typename F>
bool find(void* library, F* function, const char* name, const char* version) {
  void* symbol = version != nullptr ? dlvsym(library, name, version) : dlsym(library, name);
  *function = reinterpret_cast<F>(symbol);
  return symbol != nullptr;
}

}  // namespace

const Libfuse& libfuse() { return g_libfuse; }

Status open_libfuse(const std::string& path) {
  if (g_loaded) return Error{EALREADY, "load libfuse", path, ""};
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (library == nullptr) return Error{ENOEXEC, "load libfuse", path, dlerror()};
  Libfuse found;
  const bool all = find(library, &found.get_context, "fuse_get_context", "FUSE_2.8") &&
                   find(library, &found.register_module, "fuse_register_module", nullptr) &&
                   find(library, &found.opt_parse, "fuse_opt_parse", nullptr) &&
                   find(library, &found.fs_new, "fuse_fs_new", nullptr) &&
                   find(library, &found.fs_init, "fuse_fs_init", nullptr) &&
                   find(library, &found.fs_opendir, "fuse_fs_opendir", nullptr) &&
                   find(library, &found.fs_readdir, "fuse_fs_readdir", nullptr) &&
                   find(library, &found.fs_releasedir, "fuse_fs_releasedir", nullptr) &&
                   find(library, &found.fs_chmod, "fuse_fs_chmod", nullptr) &&
                   find(library, &found.fs_chown, "fuse_fs_chown", nullptr) &&
                   find(library, &found.fs_getxattr, "fuse_fs_getxattr", nullptr) &&
                   find(library, &found.fs_listxattr, "fuse_fs_listxattr", nullptr) &&
                   find(library, &found.fs_setxattr, "fuse_fs_setxattr", nullptr) &&
                   find(library, &found.mount, "fuse_mount", "FUSE_2.6") &&
                   find(library, &found.chan_new, "fuse_chan_new", "FUSE_2.6") &&
                   find(library, &found.chan_destroy, "fuse_chan_destroy", nullptr) &&
                   find(library, &found.chan_fd, "fuse_chan_fd", nullptr) &&
                   find(library, &found.chan_bufsize, "fuse_chan_bufsize", nullptr) &&
                   find(library, &found.chan_data, "fuse_chan_data", nullptr) &&
                   find(library, &found.chan_session, "fuse_chan_session", nullptr) &&
                   find(library, &found.session_exited, "fuse_session_exited", nullptr) &&
                   find(library, &found.session_exit, "fuse_session_exit", nullptr);
  if (!all) return Error{ENOEXEC, "load libfuse", path, "it is not libfuse 2.9: a function is missing"};
  g_libfuse = found;
  g_loaded = true;
  return ok_status();
}

}  // namespace dmiofs
