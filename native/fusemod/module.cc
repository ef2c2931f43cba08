#include "fusemod/module.h"

#include <cstddef>
#include <cstring>

#include "base/log.h"

namespace dmiofs {
namespace {

struct ModuleOptions {
  unsigned mount = 0;
};

const struct fuse_opt kOptions[] = {
    {"dmiofs_mount=%u", offsetof(ModuleOptions, mount), 0},
    FUSE_OPT_END,
};

void* module_init(struct fuse_conn_info* connection) {
  ModuleInstance& instance = current_instance();
  // The next file system's init tells JavaScript that the mount is there.
  libfuse().fs_init(instance.next, connection);
  connection->want |=
      connection->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_BIG_WRITES | FUSE_CAP_ASYNC_READ);
  connection->want &= ~static_cast<unsigned>(
      FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS);  // the kernel's own locks are right on one host
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  return &instance;
}

void module_destroy(void* data) {
  auto* instance = static_cast<ModuleInstance*>(data);
  // The next file system has no destroy; libfuse frees it with the stack.
  const std::shared_ptr<MountContext> mount = std::move(instance->mount);
  delete instance;
  if (mount->on_end) mount->on_end();
}

struct fuse_fs* module_factory(struct fuse_args* args, struct fuse_fs* next[]) {
  ModuleOptions options;
  if (libfuse().opt_parse(args, &options, kOptions, nullptr) != 0) return nullptr;
  std::shared_ptr<MountContext> mount = find_mount(options.mount);
  if (mount == nullptr || next[0] == nullptr || next[1] != nullptr) {
    log_line(LogLevel::kError, "the FUSE module was not given a mount of this process");
    return nullptr;
  }
  struct fuse_operations operations;
  std::memset(&operations, 0, sizeof operations);
  operations.init = module_init;
  operations.destroy = module_destroy;
  operations.flag_utime_omit_ok = 1;
  add_data_operations(&operations);
  add_attr_operations(&operations);
  add_xattr_operations(&operations);
  add_refused_operations(&operations);
  auto* instance = new ModuleInstance{std::move(mount), next[0]};
  struct fuse_fs* made = libfuse().fs_new(&operations, sizeof operations, instance);
  if (made == nullptr) delete instance;
  return made;
}

struct fuse_module g_module = {};

}  // namespace

ModuleInstance& current_instance() {
  return *static_cast<ModuleInstance*>(libfuse().get_context()->private_data);
}

Status load_fuse(const std::string& path) {
  if (auto opened = open_libfuse(path); !opened.ok()) return opened.error();
  g_module.name = "dmiofs";
  g_module.factory = module_factory;
  libfuse().register_module(&g_module);
  return ok_status();
}

}  // namespace dmiofs
