#include "fusemod/module.h"

#include <cstddef>

#include "base/log.h"
#include "fusemod/session_shim.h"

namespace dmiofs {
namespace {

// Readahead and asynchronous direct I/O in flight; the kernel's own limit of 12 starves legs that answer in 100 us.
constexpr unsigned kMaxBackground = 64;
constexpr unsigned kCongestionThreshold = 48;

// fuse-native's mount callback fires from its init, so that one always runs too.
void* on_init(struct fuse_conn_info* conn) {
  ModuleInstance& instance = current_instance();
  libfuse().fs_init(instance.next, conn);
  const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_BIG_WRITES;
  conn->want |= conn->capable & wanted;
  conn->want &= ~FUSE_CAP_SPLICE_WRITE;  // replies go through our channel's send (reply_data.h)
  conn->max_background = kMaxBackground;
  conn->congestion_threshold = kCongestionThreshold;
  if ((conn->capable & FUSE_CAP_ATOMIC_O_TRUNC) == 0) {
    log_line(LogLevel::kWarn,
             "this kernel does not tell O_TRUNC from truncate(2): opening a file with O_TRUNC will fail");
  }
  return &instance;
}

// The session has ended, or fuse_new() failed after the factory ran: then nothing but the kernel's mount is left, and it goes here.
void on_destroy(void* user_data) {
  const std::unique_ptr<ModuleInstance> instance(static_cast<ModuleInstance*>(user_data));
  MountContext& context = *instance->context;
  end_session(context);
  retire_mount(context.id);
  if (context.on_end) context.on_end();
}

const fuse_operations& operations() {
  static const fuse_operations table = [] {
    fuse_operations made{};
    made.init = on_init;
    made.destroy = on_destroy;
    made.flag_utime_omit_ok = 1;
    add_data_operations(&made);
    add_truncate_operations(&made);
    add_attr_operations(&made);
    add_xattr_operations(&made);
    add_namespace_operations(&made);
    return made;
  }();
  return table;
}

struct ModuleArguments {
  unsigned mount_id = 0;
};

const struct fuse_opt kModuleOptions[] = {
    {"dmiofs_mount=%u", offsetof(ModuleArguments, mount_id), 0},
    FUSE_OPT_END,
};

int keep_unknown(void*, const char*, int, struct fuse_args*) { return 1; }

struct fuse_fs* make_module(struct fuse_args* args, struct fuse_fs* next[]) {
  if (next[0] == nullptr || next[1] != nullptr) {
    log_line(LogLevel::kError, "the FUSE module dmiofs goes on top of exactly one file system");
    return nullptr;
  }
  ModuleArguments arguments;
  if (libfuse().opt_parse(args, &arguments, kModuleOptions, keep_unknown) == -1) return nullptr;
  auto instance = std::make_unique<ModuleInstance>();
  instance->context = find_mount(arguments.mount_id);
  if (instance->context == nullptr) {
    log_line(LogLevel::kError,
             "the FUSE module dmiofs needs the mount option dmiofs_mount=ID of an attached mount");
    return nullptr;
  }
  instance->next = next[0];
  struct fuse_fs* fs = libfuse().fs_new(&operations(), sizeof(fuse_operations), instance.get());
  if (fs != nullptr) instance.release();
  return fs;
}

struct fuse_module g_module = {"dmiofs", make_module, nullptr, nullptr, 0};

}  // namespace

struct fuse_module* fuse_module_entry() { return &g_module; }

ModuleInstance& current_instance() {
  return *static_cast<ModuleInstance*>(libfuse().get_context()->private_data);
}

MountedFile* native_file(const char* path) {
  MountContext& context = *current_instance().context;
  context.counters.native.fetch_add(1, std::memory_order_relaxed);
  return context.find(path);
}

struct fuse_fs* forward() {
  ModuleInstance& instance = current_instance();
  instance.context->counters.forwarded.fetch_add(1, std::memory_order_relaxed);
  return instance.next;
}

}  // namespace dmiofs
