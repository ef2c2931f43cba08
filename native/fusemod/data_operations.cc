// open, read, write, fsync, flush, release, fallocate, ioctl: data never leaves this side.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fusemod/attr.h"
#include "fusemod/file_handle.h"
#include "fusemod/module.h"
#include "fusemod/reply_data.h"
#include "fusemod/truncate_rule.h"

namespace dmiofs {
namespace {

// Since protocol 7.39 a direct write also drops what the page cache holds of its range. Before, O_DIRECT is left to the kernel's generic code, which
// does that too.
constexpr unsigned kMinorOfCoherentDirectIo = 39;

bool wants_direct_io(const MountContext& context, const MountedFile& file, int flags) {
  if (file.cache == CacheMode::kNone) return true;
  return (flags & O_DIRECT) != 0 && context.features.kernel_minor() >= kMinorOfCoherentDirectIo;
}

int on_open(const char* path, struct fuse_file_info* info) {
  MountedFile* file = native_file(path);
  if (file == nullptr) return -ENOENT;
  const bool truncates = (info->flags & O_TRUNC) != 0;
  if (file->read_only && (truncates || (info->flags & O_ACCMODE) != O_RDONLY)) return -EROFS;
  if (truncates) {
    // With the writeback cache the kernel would from now on take the file for empty, whatever we say of its size.
    if (current_instance().context->features.writeback()) return -EPERM;
    if (const int err = zero_on_open(file); err != 0) return err;
  }
  info->fh = FileHandle{file->index, truncates}.encode();
  info->direct_io = wants_direct_io(*current_instance().context, *file, info->flags);
  info->keep_cache = !info->direct_io;  // nobody but the kernel's own users changes the data
  return 0;
}

int on_read(const char*, char* data, size_t size, off_t offset, struct fuse_file_info* info) {
  MountContext& context = *current_instance().context;
  context.counters.native.fetch_add(1, std::memory_order_relaxed);
  context.counters.read.fetch_add(1, std::memory_order_relaxed);
  MirrorSet& set = *context.files[FileHandle::decode(info->fh).index]->set;
  const uint64_t end = set.size_bytes();
  const auto from = static_cast<uint64_t>(offset);
  if (from >= end) return 0;
  const size_t length = std::min<uint64_t>(size, end - from);
  if (!context.shim.load(std::memory_order_relaxed)) {
    const int err = set.read(data, length, from);
    return err == 0 ? static_cast<int>(length) : err;
  }
  ReadLoan loan;
  if (const int err = set.read(data, length, from, &loan); err != 0) return err;
  if (loan.data != nullptr) lend_reply_data(std::move(loan.buffer), loan.data, length);
  return static_cast<int>(length);
}

// What the writeback cache took beyond the end. The kernel looks at the error alone, not at how much was written.
int answer_grown(MountContext& context, MountedFile* file) {
  if (context.on_grown && !file->grown.exchange(true)) context.on_grown(*file);
  return -ENOSPC;
}

int on_write(const char*, const char* data, size_t size, off_t offset, struct fuse_file_info* info) {
  MountContext& context = *current_instance().context;
  context.counters.native.fetch_add(1, std::memory_order_relaxed);
  context.counters.write.fetch_add(1, std::memory_order_relaxed);
  MountedFile* file = context.files[FileHandle::decode(info->fh).index].get();
  const uint64_t end = file->set->size_bytes();
  const auto from = static_cast<uint64_t>(offset);
  if (size == 0) return 0;
  const bool grown = info->writepage != 0 && context.features.writeback() && from + size > end;
  if (from >= end) return grown ? answer_grown(context, file) : -ENOSPC;
  const size_t length = std::min<uint64_t>(size, end - from);
  const int err = file->set->write(data, length, from);
  if (err != 0) return err;
  note_written(file, from + length);
  touch_modified(file);
  if (grown) return answer_grown(context, file);
  return static_cast<int>(length);
}

MountedFile* handle_file(const struct fuse_file_info* info) {
  MountContext& context = *current_instance().context;
  context.counters.native.fetch_add(1, std::memory_order_relaxed);
  return context.files[FileHandle::decode(info->fh).index].get();
}

int on_fsync(const char*, int, struct fuse_file_info* info) { return handle_file(info)->set->flush(); }

// close(2) promises nothing, and every write has answered for itself.
int on_flush(const char*, struct fuse_file_info* info) {
  handle_file(info);
  return 0;
}

int on_release(const char*, struct fuse_file_info* info) {
  handle_file(info);
  return 0;
}

// What lies within the file is allocated already; the file cannot grow.
int check_allocated(int mode, uint64_t end, uint64_t size) {
  if (end <= size) return 0;
  return (mode & FALLOC_FL_KEEP_SIZE) != 0 ? -ENOSPC : -EFBIG;
}

int on_fallocate(const char*, int mode, off_t offset, off_t length, struct fuse_file_info* info) {
  MountedFile* file = handle_file(info);
  if (offset < 0 || length <= 0) return -EINVAL;
  if (file->read_only) return -EROFS;
  const uint64_t size = file->set->size_bytes();
  const auto from = static_cast<uint64_t>(offset);
  const uint64_t end = from + static_cast<uint64_t>(length);  // no overflow: both are below 2^63
  const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
  if (kind == 0) return check_allocated(mode, end, size);
  if (kind != FALLOC_FL_ZERO_RANGE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
    return -EOPNOTSUPP;
  if (kind == FALLOC_FL_ZERO_RANGE) {
    if (const int err = (mode & FALLOC_FL_KEEP_SIZE) != 0 ? 0 : check_allocated(mode, end, size); err != 0)
      return err;
  }
  if (from >= size) return 0;
  const int err = file->set->zero(from, std::min(end, size) - from, kind == FALLOC_FL_PUNCH_HOLE);
  if (err == 0) touch_modified(file);
  return err;
}

int on_ioctl(const char*, int command, void*, struct fuse_file_info* info, unsigned flags, void* data) {
  if ((flags & FUSE_IOCTL_DIR) != 0) return -ENOTTY;
  const MountedFile* file = handle_file(info);
  if (static_cast<unsigned>(command) != BLKGETSIZE64) return -ENOTTY;
  const uint64_t size = file->set->size_bytes();
  std::memcpy(data, &size, sizeof(size));
  return 0;
}

}  // namespace

void add_data_operations(fuse_operations* table) {
  table->open = on_open;
  table->read = on_read;
  table->write = on_write;
  table->fsync = on_fsync;
  table->flush = on_flush;
  table->release = on_release;
  table->fallocate = on_fallocate;
  table->ioctl = on_ioctl;
}

}  // namespace dmiofs
