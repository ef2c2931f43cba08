// The libfuse module "dmiofs": stacked by `-o modules=dmiofs,dmiofs_mount=ID` on top of fuse-native's operations.
//
// An operation that needs only the sets and their files' attributes is answered here, on the session's thread; the others are passed on to
// `next`, fuse-native, and so to JavaScript. No operation ever returns -ENOSYS: the kernel would not ask again until the mount ends.
//
// THREAD SAFETY: operations run on any number of worker threads at once. LOCK ORDER: MountedFile::mutex is a leaf.
// OWNERSHIP: libfuse holds the instance (its file system's user data) from the factory to `destroy`, which deletes it.
#pragma once

#include <memory>

#include "fusemod/libfuse.h"
#include "fusemod/mount_context.h"

namespace dmiofs {

struct ModuleInstance {
  std::shared_ptr<MountContext> context;
  struct fuse_fs* next = nullptr;  // libfuse's: freed with the session
};

// What libfuse keeps in its list of modules. Static.
struct fuse_module* fuse_module_entry();

// The instance whose operation runs on this thread. Not after a call of libfuse().fs_*().
ModuleInstance& current_instance();
// The file of a path, counted as a native operation; null: no such file (the root is none).
MountedFile* native_file(const char* path);

// Counts an operation that JavaScript is asked for; the file system to ask.
struct fuse_fs* forward();

// Each file of operations adds its own to the table.
void add_data_operations(fuse_operations* table);
void add_truncate_operations(fuse_operations* table);
void add_attr_operations(fuse_operations* table);
void add_xattr_operations(fuse_operations* table);
void add_namespace_operations(fuse_operations* table);

}  // namespace dmiofs
