// Extended attributes. Values, names and control verbs come from JavaScript; who may ask for what, and the rules about sizes, are settled here:
// fuse-native breaks on a small buffer, and the kernel asks for security.capability before every cached write.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

constexpr std::string_view kOurs = "user.dmio.";
constexpr std::string_view kControl = "user.dmio.control";
constexpr size_t kLargestValue = 65536;  // the kernel's own limit (XATTR_SIZE_MAX, XATTR_LIST_MAX)
constexpr size_t kLargestControl = 4096;

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};
using Scratch = std::unique_ptr<char, FreeDeleter>;

bool is_root(const char* path) { return std::strcmp(path, "/") == 0; }

// The size rules of getxattr(2) and listxattr(2): size 0 asks how much there is.
int answer(const char* value, int length, char* out, size_t room) {
  if (length < 0) return length;
  if (static_cast<size_t>(length) > kLargestValue) return -E2BIG;
  if (room == 0) return length;
  if (static_cast<size_t>(length) > room) return -ERANGE;
  std::memcpy(out, value, static_cast<size_t>(length));
  return length;
}

int on_getxattr(const char* path, const char* name, char* out, size_t room) {
  const MountedFile* file = native_file(path);
  if (file == nullptr && !is_root(path)) return -ENOENT;
  if (!std::string_view(name).starts_with(kOurs) || name == kControl) return -ENODATA;
  const Scratch value(static_cast<char*>(std::calloc(1, kLargestValue)));
  if (value == nullptr) return -ENOMEM;
  return answer(value.get(), libfuse().fs_getxattr(forward(), path, name, value.get(), kLargestValue), out,
                room);
}

int on_listxattr(const char* path, char* out, size_t room) {
  const MountedFile* file = native_file(path);
  if (file == nullptr && !is_root(path)) return -ENOENT;
  const Scratch list(static_cast<char*>(std::calloc(1, kLargestValue)));
  if (list == nullptr) return -ENOMEM;
  return answer(list.get(), libfuse().fs_listxattr(forward(), path, list.get(), kLargestValue), out, room);
}

bool may_control(const MountedFile& file) {
  const uid_t caller = libfuse().get_context()->uid;
  MutexLock lock(file.mutex);
  return caller == 0 || caller == file.attr.uid;
}

int on_setxattr(const char* path, const char* name, const char* value, size_t size, int flags) {
  const MountedFile* file = native_file(path);
  if (file == nullptr && !is_root(path)) return -ENOENT;
  if (!std::string_view(name).starts_with(kOurs)) return -EOPNOTSUPP;
  if (file == nullptr || name != kControl || !may_control(*file)) return -EPERM;
  if (size > kLargestControl) return -E2BIG;
  return libfuse().fs_setxattr(forward(), path, name, value, size, flags);
}

int on_removexattr(const char* path, const char* name) {
  const MountedFile* file = native_file(path);
  if (file == nullptr && !is_root(path)) return -ENOENT;
  return std::string_view(name).starts_with(kOurs) ? -EPERM : -ENODATA;
}

}  // namespace

void add_xattr_operations(fuse_operations* table) {
  table->getxattr = on_getxattr;
  table->listxattr = on_listxattr;
  table->setxattr = on_setxattr;
  table->removexattr = on_removexattr;
}

}  // namespace dmiofs
