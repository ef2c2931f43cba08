// Data: open, read, write, fsync, fallocate, ioctl, release. None of it enters JavaScript.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

void count_native(ModuleInstance& instance) {
  instance.mount->counters.native.fetch_add(1, std::memory_order_relaxed);
}

int op_open(const char* path, struct fuse_file_info* info) noexcept {
  ModuleInstance& instance = current_instance();
  count_native(instance);
  MountedFile* file = instance.mount->find(path);
  if (file == nullptr) return std::strcmp(path, "/") == 0 ? -EISDIR : -ENOENT;
  const bool writes = (info->flags & O_ACCMODE) != O_RDONLY;
  if (writes && file->read_only) return -EROFS;
  bool truncated = false;
  if ((info->flags & O_TRUNC) != 0) {
    if (file->read_only) return -EROFS;
    if (file->truncate == TruncateRule::kDeny) return -EPERM;
    file->written_end = 0;
    if (const int err = file->set->zero(0, file->set->size_bytes(), true); err != 0) return err;
    touch_modified(file);
    truncated = true;
  }
  const bool direct = file->cache == CacheMode::kNone || (info->flags & O_DIRECT) != 0;
  info->direct_io = direct ? 1 : 0;
  info->keep_cache = direct ? 0 : 1;  // what changes a file's content goes through the same kernel cache
  info->fh = reinterpret_cast<uint64_t>(new OpenFile{file, truncated});
  return 0;
}

int op_read(const char*, char* data, size_t size, off_t offset, struct fuse_file_info* info) noexcept {
  ModuleInstance& instance = current_instance();
  count_native(instance);
  instance.mount->counters.read.fetch_add(1, std::memory_order_relaxed);
  MirrorSet& set = *open_file(info)->file->set;
  if (offset < 0) return -EINVAL;
  const uint64_t end = set.size_bytes();
  const auto at = static_cast<uint64_t>(offset);
  if (at >= end) return 0;
  const size_t fits = std::min<uint64_t>(std::min<size_t>(size, INT32_MAX), end - at);
  const int err = set.read(data, fits, at);
  return err != 0 ? err : static_cast<int>(fits);
}

// Past the end: what fits is written, then ENOSPC, as on a block device.
int op_write(const char*, const char* data, size_t size, off_t offset, struct fuse_file_info* info) noexcept {
  ModuleInstance& instance = current_instance();
  count_native(instance);
  instance.mount->counters.write.fetch_add(1, std::memory_order_relaxed);
  MountedFile* file = open_file(info)->file;
  if (offset < 0) return -EINVAL;
  const uint64_t end = file->set->size_bytes();
  const auto at = static_cast<uint64_t>(offset);
  if (size == 0) return 0;
  if (at >= end) return -ENOSPC;
  const size_t fits = std::min<uint64_t>(std::min<size_t>(size, INT32_MAX), end - at);
  if (const int err = file->set->write(data, fits, at); err != 0) return err;
  uint64_t before = file->written_end.load(std::memory_order_relaxed);
  while (before < at + fits &&
         !file->written_end.compare_exchange_weak(before, at + fits, std::memory_order_relaxed)) {
  }
  touch_modified(file);
  return static_cast<int>(fits);
}

int op_fsync(const char*, int, struct fuse_file_info* info) noexcept {
  count_native(current_instance());
  return open_file(info)->file->set->flush();
}

int op_flush(const char*, struct fuse_file_info*) noexcept {
  count_native(current_instance());
  return 0;  // close(2): every write is on the legs already
}

int op_release(const char*, struct fuse_file_info* info) noexcept {
  count_native(current_instance());
  delete open_file(info);
  info->fh = 0;
  return 0;
}

int op_fallocate(const char*, int mode, off_t offset, off_t length, struct fuse_file_info* info) noexcept {
  count_native(current_instance());
  MountedFile* file = open_file(info)->file;
  if (file->read_only) return -EROFS;
  if (offset < 0 || length <= 0) return -EINVAL;
  const uint64_t size = file->set->size_bytes();
  const auto first = static_cast<uint64_t>(offset);
  const uint64_t last = first + static_cast<uint64_t>(length);
  const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
  if (kind == FALLOC_FL_PUNCH_HOLE || kind == FALLOC_FL_ZERO_RANGE) {
    if (first >= size) return kind == FALLOC_FL_PUNCH_HOLE ? 0 : -EFBIG;
    if (last > size && kind == FALLOC_FL_ZERO_RANGE) return -EFBIG;
    if (const int err = file->set->zero(first, std::min(last, size) - first, kind == FALLOC_FL_PUNCH_HOLE);
        err != 0)
      return err;
    touch_modified(file);
    return 0;
  }
  if (kind != 0) return -EOPNOTSUPP;
  return last > size ? -ENOSPC : 0;  // the space is there
}

int op_ioctl(const char* path, int command, void*, struct fuse_file_info* info, unsigned flags,
             void* data) noexcept {
  ModuleInstance& instance = current_instance();
  count_native(instance);
  if ((flags & FUSE_IOCTL_DIR) != 0 || instance.mount->find(path) == nullptr) return -ENOTTY;
  if (static_cast<unsigned>(command) != BLKGETSIZE64 || data == nullptr) return -ENOTTY;
  const uint64_t size = open_file(info)->file->set->size_bytes();
  std::memcpy(data, &size, sizeof size);
  return 0;
}

}  // namespace

void add_data_operations(struct fuse_operations* operations) {
  operations->open = op_open;
  operations->read = op_read;
  operations->write = op_write;
  operations->fsync = op_fsync;
  operations->flush = op_flush;
  operations->release = op_release;
  operations->fallocate = op_fallocate;
  operations->ioctl = op_ioctl;
}

}  // namespace dmiofs
