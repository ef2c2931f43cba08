// What a mount of mirror sets has no room for: its files are the config's. EPERM, and not the ENOSYS of a missing operation, which reads
// as a fault and turns some operations off for good.
#include <cerrno>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

int op_mknod(const char*, mode_t, dev_t) noexcept { return -EPERM; }
int op_create(const char*, mode_t, struct fuse_file_info*) noexcept { return -EPERM; }
int op_path(const char*) noexcept { return -EPERM; }
int op_two_paths(const char*, const char*) noexcept { return -EPERM; }
int op_mkdir(const char*, mode_t) noexcept { return -EPERM; }
int op_readlink(const char*, char*, size_t) noexcept { return -EINVAL; }

}  // namespace

void add_refused_operations(struct fuse_operations* operations) {
  operations->mknod = op_mknod;
  operations->create = op_create;
  operations->unlink = op_path;
  operations->rmdir = op_path;
  operations->rename = op_two_paths;
  operations->link = op_two_paths;
  operations->symlink = op_two_paths;
  operations->mkdir = op_mkdir;
  operations->readlink = op_readlink;
}

}  // namespace dmiofs
