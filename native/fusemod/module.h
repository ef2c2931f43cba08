// The libfuse module "dmiofs": one instance a mount, stacked on the FUSE binding's own operations (the next file system).
//
// It answers data and everything frequent natively, on libfuse's worker threads, and forwards the rest to JavaScript by fuse_fs_*: directory
// listings, values of attributes, control verbs, chmod and chown. A JavaScript thread that is stuck never stops data.
//
// THREAD SAFETY: constant after the factory. OWNERSHIP: libfuse owns the instance until its destroy operation.
#pragma once

#include "fusemod/libfuse.h"
#include "fusemod/mount_context.h"

namespace dmiofs {

struct ModuleInstance {
  std::shared_ptr<MountContext> mount;
  struct fuse_fs* next = nullptr;
};

// An open file of a set; its address is the fuse handle.
struct OpenFile {
  MountedFile* file = nullptr;
  bool truncated = false;  // opened with O_TRUNC: ftruncate may zero what is beyond its length
};

inline constexpr uint64_t kRootInode = 1;

// Of the operation that this thread is in. Fetched before any forwarding, which sets the context to the next file system's.
ModuleInstance& current_instance();
inline OpenFile* open_file(const struct fuse_file_info* info) {
  return reinterpret_cast<OpenFile*>(info->fh);
}

// The operations, by concern.
void add_data_operations(struct fuse_operations* operations);     // data_operations.cc
void add_attr_operations(struct fuse_operations* operations);     // attr_operations.cc
void add_xattr_operations(struct fuse_operations* operations);    // xattr_operations.cc
void add_refused_operations(struct fuse_operations* operations);  // refused_operations.cc

void touch_modified(MountedFile* file);

}  // namespace dmiofs
