// Libfuse: the functions of libfuse 2.9 that the module and the session shim call, found in the library that was opened by path.
//
// Nothing is linked against libfuse: the addon opens the library that ships with an npm package, and the FUSE binding that is loaded later finds that
// very one by its name. Versioned symbols are asked for by version, since libfuse exports three of some.
//
// STATES: empty --load_fuse()--> loaded, for the life of the process. THREAD SAFETY: constant once loaded.
#pragma once

#include <fuse.h>
#include <fuse_lowlevel.h>
#include <fuse_opt.h>

#include "base/result.h"

namespace dmiofs {

struct Libfuse {
  struct fuse_context* (*get_context)() = nullptr;
  void (*register_module)(struct fuse_module*) = nullptr;
  int (*opt_parse)(struct fuse_args*, void*, const struct fuse_opt*, fuse_opt_proc_t) = nullptr;

  struct fuse_fs* (*fs_new)(const struct fuse_operations*, size_t, void*) = nullptr;
  void (*fs_init)(struct fuse_fs*, struct fuse_conn_info*) = nullptr;
  int (*fs_opendir)(struct fuse_fs*, const char*, struct fuse_file_info*) = nullptr;
  int (*fs_readdir)(struct fuse_fs*, const char*, void*, fuse_fill_dir_t, off_t,
                    struct fuse_file_info*) = nullptr;
  int (*fs_releasedir)(struct fuse_fs*, const char*, struct fuse_file_info*) = nullptr;
  int (*fs_chmod)(struct fuse_fs*, const char*, mode_t) = nullptr;
  int (*fs_chown)(struct fuse_fs*, const char*, uid_t, gid_t) = nullptr;
  int (*fs_getxattr)(struct fuse_fs*, const char*, const char*, char*, size_t) = nullptr;
  int (*fs_listxattr)(struct fuse_fs*, const char*, char*, size_t) = nullptr;
  int (*fs_setxattr)(struct fuse_fs*, const char*, const char*, const char*, size_t, int) = nullptr;

  struct fuse_chan* (*mount)(const char*, struct fuse_args*) = nullptr;
  struct fuse_chan* (*chan_new)(struct fuse_chan_ops*, int, size_t, void*) = nullptr;
  void (*chan_destroy)(struct fuse_chan*) = nullptr;
  int (*chan_fd)(struct fuse_chan*) = nullptr;
  size_t (*chan_bufsize)(struct fuse_chan*) = nullptr;
  void* (*chan_data)(struct fuse_chan*) = nullptr;
  struct fuse_session* (*chan_session)(struct fuse_chan*) = nullptr;
  int (*session_exited)(struct fuse_session*) = nullptr;
  void (*session_exit)(struct fuse_session*) = nullptr;
};

// Opens the library at `path` for the whole process (RTLD_GLOBAL) and finds all of it. EALREADY when it is loaded.
Status open_libfuse(const std::string& path);
const Libfuse& libfuse();

}  // namespace dmiofs
