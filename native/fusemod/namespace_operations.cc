// The mountpoint shows the configured sets and nothing else: what would add, remove or rename an entry is not permitted.
#include <cerrno>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

int refuse_path(const char* path) {
  native_file(path);
  return -EPERM;
}

int on_create(const char* path, mode_t, struct fuse_file_info*) { return refuse_path(path); }
int on_mknod(const char* path, mode_t, dev_t) { return refuse_path(path); }
int on_mkdir(const char* path, mode_t) { return refuse_path(path); }
int on_unlink(const char* path) { return refuse_path(path); }
int on_rmdir(const char* path) { return refuse_path(path); }
int on_symlink(const char*, const char* path) { return refuse_path(path); }
int on_rename(const char* path, const char*) { return refuse_path(path); }
int on_link(const char* path, const char*) { return refuse_path(path); }

int on_readlink(const char* path, char*, size_t) { return native_file(path) == nullptr ? -ENOENT : -EINVAL; }

}  // namespace

void add_namespace_operations(fuse_operations* table) {
  table->create = on_create;
  table->mknod = on_mknod;
  table->mkdir = on_mkdir;
  table->unlink = on_unlink;
  table->rmdir = on_rmdir;
  table->symlink = on_symlink;
  table->rename = on_rename;
  table->link = on_link;
  table->readlink = on_readlink;
}

}  // namespace dmiofs
