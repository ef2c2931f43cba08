// The libfuse 2.9 that serves this process: opened by path, its functions looked up by name; nothing links to it.
//
// fuse-native needs `libfuse.so.2`, which a fresh machine does not have; once the copy that npm ships is loaded here with RTLD_GLOBAL, the
// dynamic linker takes it for that name.
//
// STATES: not loaded --load_fuse()--> loaded, for the life of the process. THREAD SAFETY: load_fuse() any thread; libfuse() after it returned.
#pragma once

#include <fuse.h>
#include <fuse_lowlevel.h>
#include <fuse_opt.h>

namespace dmiofs {

struct Libfuse {
  decltype(&::fuse_register_module) register_module = nullptr;
  decltype(&::fuse_get_context) get_context = nullptr;
  decltype(&::fuse_opt_parse) opt_parse = nullptr;

  // One file system on top of another. Each sets the context's private_data to that of the one it calls: fetch your own first.
  decltype(&::fuse_fs_new) fs_new = nullptr;
  decltype(&::fuse_fs_init) fs_init = nullptr;
  decltype(&::fuse_fs_readdir) fs_readdir = nullptr;
  decltype(&::fuse_fs_chmod) fs_chmod = nullptr;
  decltype(&::fuse_fs_chown) fs_chown = nullptr;
  decltype(&::fuse_fs_getxattr) fs_getxattr = nullptr;
  decltype(&::fuse_fs_listxattr) fs_listxattr = nullptr;
  decltype(&::fuse_fs_setxattr) fs_setxattr = nullptr;

  // The session's channel (session_shim.cc).
  decltype(&::fuse_mount) mount = nullptr;
  decltype(&::fuse_unmount) unmount = nullptr;
  decltype(&::fuse_new) new_session = nullptr;
  void (*unmount_path)(const char* mountpoint) = nullptr;  // fuse_unmount@FUSE_2.2
  decltype(&::fuse_chan_new) chan_new = nullptr;
  decltype(&::fuse_chan_destroy) chan_destroy = nullptr;
  decltype(&::fuse_chan_fd) chan_fd = nullptr;
  decltype(&::fuse_chan_data) chan_data = nullptr;
  decltype(&::fuse_chan_bufsize) chan_bufsize = nullptr;
  decltype(&::fuse_chan_session) chan_session = nullptr;
  decltype(&::fuse_session_exit) session_exit = nullptr;
  decltype(&::fuse_session_exited) session_exited = nullptr;
  decltype(&::fuse_session_process) session_process = nullptr;
  decltype(&::fuse_session_next_chan) session_next_chan = nullptr;
  decltype(&::fuse_get_session) get_session = nullptr;
  decltype(&::fuse_loop_mt) loop_mt = nullptr;
};

const Libfuse& libfuse();

}  // namespace dmiofs
