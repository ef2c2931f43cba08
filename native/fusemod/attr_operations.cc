// Attributes, sizes and directories: getattr, statfs, utimens and the truncate rule natively; listings, chmod and chown through JavaScript.
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "fusemod/module.h"

namespace dmiofs {
namespace {

void count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

timespec now() {
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return ts;
}

int op_getattr(const char* path, struct stat* st) noexcept {
  ModuleInstance& instance = current_instance();
  count(instance.mount->counters.native);
  count(instance.mount->counters.getattr);
  std::memset(st, 0, sizeof *st);
  if (std::strcmp(path, "/") == 0) {
    st->st_mode = S_IFDIR | 0755;
    st->st_nlink = 2;
    st->st_ino = kRootInode;
    st->st_uid = instance.mount->root_uid;
    st->st_gid = instance.mount->root_gid;
    st->st_atim = st->st_mtim = st->st_ctim = instance.mount->started;
    return 0;
  }
  const MountedFile* file = instance.mount->find(path);
  if (file == nullptr) return -ENOENT;
  st->st_ino = file->inode;
  st->st_nlink = 1;
  st->st_size = static_cast<off_t>(file->set->size_bytes());
  st->st_blocks = static_cast<blkcnt_t>(sectors_of(file->set->size_bytes()));
  st->st_blksize = kPageSize;
  MutexLock lock(file->mutex);
  st->st_mode = S_IFREG | file->attr.mode;
  st->st_uid = file->attr.uid;
  st->st_gid = file->attr.gid;
  st->st_atim = file->attr.atime;
  st->st_mtim = file->attr.mtime;
  st->st_ctim = file->attr.ctime;
  return 0;
}

int op_fgetattr(const char* path, struct stat* st, struct fuse_file_info*) noexcept {
  return op_getattr(path, st);
}

// The size is the set's and never changes. A descriptor that was opened with O_TRUNC may zero what is beyond a shorter length: that is how
// cp and tar make the end of a sparse copy.
int truncate_to(MountedFile* file, off_t length, bool may_zero) {
  if (length < 0) return -EINVAL;
  const uint64_t size = file->set->size_bytes();
  const auto wanted = static_cast<uint64_t>(length);
  if (wanted == size) return 0;
  if (wanted > size) return -EFBIG;
  if (!may_zero) return -EPERM;
  // What no one has written since the O_TRUNC is zeros already.
  const uint64_t written = file->written_end.load(std::memory_order_relaxed);
  if (written <= wanted) return 0;
  if (const int err = file->set->zero(wanted, written - wanted, true); err != 0) return err;
  touch_modified(file);
  return 0;
}

int op_truncate(const char* path, off_t length) noexcept {
  ModuleInstance& instance = current_instance();
  count(instance.mount->counters.native);
  MountedFile* file = instance.mount->find(path);
  if (file == nullptr) return std::strcmp(path, "/") == 0 ? -EISDIR : -ENOENT;
  return truncate_to(file, length, false);
}

int op_ftruncate(const char*, off_t length, struct fuse_file_info* info) noexcept {
  count(current_instance().mount->counters.native);
  const OpenFile* handle = open_file(info);
  return truncate_to(handle->file, length, handle->truncated);
}

int op_utimens(const char* path, const struct timespec times[2]) noexcept {
  ModuleInstance& instance = current_instance();
  count(instance.mount->counters.native);
  MountedFile* file = instance.mount->find(path);
  if (file == nullptr) return -EPERM;
  MutexLock lock(file->mutex);
  const auto set_time = [](timespec* to, const timespec& from) {
    if (from.tv_nsec == UTIME_OMIT) return;
    *to = from.tv_nsec == UTIME_NOW ? now() : from;
  };
  set_time(&file->attr.atime, times[0]);
  set_time(&file->attr.mtime, times[1]);
  file->attr.ctime = now();
  return 0;
}

int op_statfs(const char*, struct statvfs* st) noexcept {
  ModuleInstance& instance = current_instance();
  count(instance.mount->counters.native);
  std::memset(st, 0, sizeof *st);
  st->f_bsize = st->f_frsize = kPageSize;
  uint64_t bytes = 0;
  for (const auto& file : instance.mount->files) bytes += file->set->size_bytes();
  st->f_blocks = (bytes + kPageSize - 1) / kPageSize;
  st->f_files = instance.mount->files.size() + 1;
  st->f_namemax = 255;
  return 0;
}

int op_opendir(const char* path, struct fuse_file_info* info) noexcept {
  count(current_instance().mount->counters.native);
  info->fh = 0;
  return std::strcmp(path, "/") == 0 ? 0 : -ENOTDIR;
}

int op_releasedir(const char*, struct fuse_file_info*) noexcept { return 0; }
int op_fsyncdir(const char*, int, struct fuse_file_info*) noexcept { return 0; }

int op_readdir(const char* path, void* buffer, fuse_fill_dir_t filler, off_t offset,
               struct fuse_file_info* info) noexcept {
  ModuleInstance& instance = current_instance();
  count(instance.mount->counters.forwarded);
  return libfuse().fs_readdir(instance.next, path, buffer, filler, offset, info);
}

int op_chmod(const char* path, mode_t mode) noexcept {
  ModuleInstance& instance = current_instance();
  if (instance.mount->find(path) == nullptr) return -EPERM;
  count(instance.mount->counters.forwarded);
  return libfuse().fs_chmod(instance.next, path, mode & 07777);
}

int op_chown(const char* path, uid_t uid, gid_t gid) noexcept {
  ModuleInstance& instance = current_instance();
  if (instance.mount->find(path) == nullptr) return -EPERM;
  count(instance.mount->counters.forwarded);
  return libfuse().fs_chown(instance.next, path, uid, gid);
}

}  // namespace

void touch_modified(MountedFile* file) {
  const timespec time = now();
  MutexLock lock(file->mutex);
  file->attr.mtime = file->attr.ctime = time;
}

void add_attr_operations(struct fuse_operations* operations) {
  operations->getattr = op_getattr;
  operations->fgetattr = op_fgetattr;
  operations->truncate = op_truncate;
  operations->ftruncate = op_ftruncate;
  operations->utimens = op_utimens;
  operations->statfs = op_statfs;
  operations->opendir = op_opendir;
  operations->releasedir = op_releasedir;
  operations->fsyncdir = op_fsyncdir;
  operations->readdir = op_readdir;
  operations->chmod = op_chmod;
  operations->chown = op_chown;
}

}  // namespace dmiofs
