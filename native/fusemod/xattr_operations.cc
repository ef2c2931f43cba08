// Extended attributes: names and sizes are judged here, values and verbs come from JavaScript.
//
// The kernel asks for security.capability before every cached write: security, system and trusted names never reach JavaScript. The next file
// system is always asked with the largest buffer, since it answers a small one with an error of its own, or by overrunning it.
#include <cerrno>
#include <cstring>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

constexpr size_t kMaxValue = 64 * 1024;
constexpr size_t kMaxVerb = 4096;
constexpr char kOurs[] = "user.dmio.";
constexpr char kControl[] = "user.dmio.control";

struct ValueBuffer {
  // On the heap: a FUSE worker's stack may be small.
  std::unique_ptr<char[]> data{new char[kMaxValue]};
};

int give(const ValueBuffer& value, int length, char* out, size_t size) {
  if (length < 0 || size == 0) return length;
  if (static_cast<size_t>(length) > size) return -ERANGE;
  std::memcpy(out, value.data.get(), static_cast<size_t>(length));
  return length;
}

bool exists(ModuleInstance& instance, const char* path) {
  return std::strcmp(path, "/") == 0 || instance.mount->find(path) != nullptr;
}

int op_getxattr(const char* path, const char* name, char* out, size_t size) noexcept {
  ModuleInstance& instance = current_instance();
  if (std::strncmp(name, kOurs, sizeof kOurs - 1) != 0 || !exists(instance, path)) {
    instance.mount->counters.native.fetch_add(1, std::memory_order_relaxed);
    return -ENODATA;
  }
  instance.mount->counters.forwarded.fetch_add(1, std::memory_order_relaxed);
  ValueBuffer value;
  return give(value, libfuse().fs_getxattr(instance.next, path, name, value.data.get(), kMaxValue), out,
              size);
}

int op_listxattr(const char* path, char* out, size_t size) noexcept {
  ModuleInstance& instance = current_instance();
  instance.mount->counters.forwarded.fetch_add(1, std::memory_order_relaxed);
  if (!exists(instance, path)) return -ENOENT;
  ValueBuffer value;
  return give(value, libfuse().fs_listxattr(instance.next, path, value.data.get(), kMaxValue), out, size);
}

int op_setxattr(const char* path, const char* name, const char* data, size_t size, int flags) noexcept {
  ModuleInstance& instance = current_instance();
  const struct fuse_context* caller = libfuse().get_context();
  const uid_t uid = caller->uid;
  MountedFile* file = instance.mount->find(path);
  if (std::strncmp(name, kOurs, sizeof kOurs - 1) != 0) return -EOPNOTSUPP;
  if (std::strcmp(name, kControl) != 0 || file == nullptr) return -EPERM;
  if (size > kMaxVerb) return -E2BIG;
  {
    MutexLock lock(file->mutex);
    if (uid != 0 && uid != file->attr.uid) return -EPERM;
  }
  instance.mount->counters.forwarded.fetch_add(1, std::memory_order_relaxed);
  return libfuse().fs_setxattr(instance.next, path, name, data, size, flags);
}

int op_removexattr(const char*, const char*) noexcept { return -EPERM; }

}  // namespace

void add_xattr_operations(struct fuse_operations* operations) {
  operations->getxattr = op_getxattr;
  operations->listxattr = op_listxattr;
  operations->setxattr = op_setxattr;
  operations->removexattr = op_removexattr;
}

}  // namespace dmiofs
