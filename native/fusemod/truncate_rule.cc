#include "fusemod/truncate_rule.h"

#include <cerrno>

#include "fusemod/attr.h"
#include "fusemod/file_handle.h"
#include "fusemod/module.h"
#include "fusemod/session_shim.h"

namespace dmiofs {
namespace {

int refuse_other_size(const MountedFile& file, off_t wanted) {
  if (wanted < 0) return -EINVAL;
  const uint64_t size = file.set->size_bytes();
  const auto n = static_cast<uint64_t>(wanted);
  if (n == size) return 0;
  if (file.read_only) return -EROFS;
  return n < size ? -EPERM : -EFBIG;
}

int on_truncate(const char* path, off_t wanted) {
  MountedFile* file = native_file(path);
  if (file == nullptr) return -ENOENT;
  if (wanted >= 0 && static_cast<uint64_t>(wanted) == file->set->size_bytes()) file->grown = false;
  return refuse_other_size(*file, wanted);
}

// The kernel sees an unchanged size and would keep what it has cached beyond `wanted`; only the shim can tell it otherwise. Without it the call is
// refused, since stale data would be worse.
int zero_from(MountedFile* file, uint64_t wanted) {
  // What nobody has written since the O_TRUNC is zeros already: the end of a small copy must not cost the whole set.
  const uint64_t written = file->written_end;
  if (written <= wanted) return 0;
  const bool cached = file->cache != CacheMode::kNone;
  if (cached && !current_instance().context->shim) return -EPERM;
  if (const int err = file->set->zero(wanted, written - wanted, true); err != 0) return err;
  touch_modified(file);
  if (cached) reply_truncated_to(*current_instance().context, wanted);
  return 0;
}

int on_ftruncate(const char* path, off_t wanted, struct fuse_file_info* info) {
  MountedFile* file = native_file(path);
  if (file == nullptr) return -ENOENT;
  const bool shrinks = wanted >= 0 && static_cast<uint64_t>(wanted) < file->set->size_bytes();
  if (!shrinks && static_cast<uint64_t>(wanted) == file->set->size_bytes()) file->grown = false;
  if (shrinks && FileHandle::decode(info->fh).truncated)
    return zero_from(file, static_cast<uint64_t>(wanted));
  return refuse_other_size(*file, wanted);
}

}  // namespace

int zero_on_open(MountedFile* file) {
  if (file->truncate == TruncateRule::kDeny) return -EPERM;
  // Before the zeroing: a write that comes between counts, though it may be zeroed.
  file->written_end = 0;
  if (const int err = file->set->zero(0, file->set->size_bytes(), true); err != 0) return err;
  touch_modified(file);
  return 0;
}

void note_written(MountedFile* file, uint64_t end) {
  uint64_t before = file->written_end.load(std::memory_order_relaxed);
  while (before < end && !file->written_end.compare_exchange_weak(before, end, std::memory_order_relaxed)) {
  }
}

void add_truncate_operations(fuse_operations* table) {
  table->truncate = on_truncate;
  table->ftruncate = on_ftruncate;
}

}  // namespace dmiofs
