// getattr, access, statfs, utimens are answered here; listings, chmod, chown are passed on.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fusemod/attr.h"
#include "fusemod/file_handle.h"
#include "fusemod/module.h"

namespace dmiofs {
namespace {

constexpr ino_t kRootInode = 1;

void root_attr(const MountContext& context, struct stat* out) {
  out->st_ino = kRootInode;
  out->st_mode = S_IFDIR | 0755;
  out->st_nlink = 2;
  out->st_uid = context.root_uid;
  out->st_gid = context.root_gid;
  out->st_blksize = kPageSize;
  out->st_atim = out->st_mtim = out->st_ctim = context.started;
}

void file_attr(const MountedFile& file, struct stat* out) {
  const uint64_t size = file.set->size_bytes();
  out->st_ino = file.inode;
  out->st_nlink = 1;
  out->st_size = static_cast<off_t>(size);
  out->st_blocks = static_cast<blkcnt_t>(sectors_of(size));
  out->st_blksize = kPageSize;
  MutexLock lock(file.mutex);
  out->st_mode = S_IFREG | (file.attr.mode & 0777);
  out->st_uid = file.attr.uid;
  out->st_gid = file.attr.gid;
  out->st_atim = file.attr.atime;
  out->st_mtim = file.attr.mtime;
  out->st_ctim = file.attr.ctime;
}

bool is_root(const char* path) { return std::strcmp(path, "/") == 0; }

int on_getattr(const char* path, struct stat* out) {
  MountedFile* file = native_file(path);
  MountContext& context = *current_instance().context;
  context.counters.getattr.fetch_add(1, std::memory_order_relaxed);
  std::memset(out, 0, sizeof(*out));
  if (file != nullptr) {
    file_attr(*file, out);
  } else if (is_root(path)) {
    root_attr(context, out);
  } else {
    return -ENOENT;
  }
  return 0;
}

int on_fgetattr(const char* path, struct stat* out, struct fuse_file_info*) { return on_getattr(path, out); }

// With default_permissions, which every mount of ours has, the kernel checks modes itself and never asks.
int on_access(const char* path, int mask) {
  const MountedFile* file = native_file(path);
  if (file == nullptr) return is_root(path) ? 0 : -ENOENT;
  return (mask & W_OK) != 0 && file->read_only ? -EROFS : 0;
}

// All of the space is in use: the files' sizes never change.
int on_statfs(const char* path, struct statvfs* out) {
  native_file(path);
  const MountContext& context = *current_instance().context;
  std::memset(out, 0, sizeof(*out));
  out->f_bsize = kPageSize;
  out->f_frsize = kSectorSize;
  for (const auto& file : context.files) out->f_blocks += sectors_of(file->set->size_bytes());
  out->f_files = context.files.size() + 1;
  out->f_namemax = 255;
  return 0;
}

void apply_time(const timespec& wanted, const timespec& now, timespec* time) {
  if (wanted.tv_nsec == UTIME_OMIT) return;
  *time = wanted.tv_nsec == UTIME_NOW ? now : wanted;
}

int on_utimens(const char* path, const struct timespec times[2]) {
  MountedFile* file = native_file(path);
  if (file == nullptr) return is_root(path) ? -EPERM : -ENOENT;
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  MutexLock lock(file->mutex);
  apply_time(times[0], now, &file->attr.atime);
  apply_time(times[1], now, &file->attr.mtime);
  file->attr.ctime = now;
  return 0;
}

// Who may change them the kernel checks; what is changed JavaScript tells by fuseSetAttr before it answers.
int on_chmod(const char* path, mode_t mode) {
  if (is_root(path)) return -EPERM;
  return libfuse().fs_chmod(forward(), path, mode);
}

int on_chown(const char* path, uid_t uid, gid_t gid) {
  if (is_root(path)) return -EPERM;
  return libfuse().fs_chown(forward(), path, uid, gid);
}

// Answered here: only the listing itself is JavaScript's.
int on_opendir(const char* path, struct fuse_file_info* info) {
  native_file(path);
  info->fh = 0;
  return is_root(path) ? 0 : -ENOTDIR;
}

int on_releasedir(const char* path, struct fuse_file_info*) {
  native_file(path);
  return 0;
}

int on_fsyncdir(const char* path, int, struct fuse_file_info*) {
  native_file(path);
  return 0;
}

int on_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t offset,
               struct fuse_file_info* info) {
  return libfuse().fs_readdir(forward(), path, buffer, fill, offset, info);
}

}  // namespace

void touch_modified(MountedFile* file) {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  MutexLock lock(file->mutex);
  file->attr.mtime = file->attr.ctime = now;
}

void add_attr_operations(fuse_operations* table) {
  table->getattr = on_getattr;
  table->fgetattr = on_fgetattr;
  table->access = on_access;
  table->statfs = on_statfs;
  table->utimens = on_utimens;
  table->chmod = on_chmod;
  table->chown = on_chown;
  table->opendir = on_opendir;
  table->readdir = on_readdir;
  table->releasedir = on_releasedir;
  table->fsyncdir = on_fsyncdir;
}

}  // namespace dmiofs
