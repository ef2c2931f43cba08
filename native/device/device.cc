#include "device/device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "device/device_identity.h"
#include "device/direct_io.h"
#include "device/shared_claims.h"

namespace dmiofs {
namespace {

Error fail(const char* step, const std::string& path, int err, std::string hint = "") {
  return Error{err, step, path, std::move(hint)};
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Opens without touching what is there (a FIFO, a tape), and says what it is.
Result<UniqueFd> open_path(const std::string& path, struct stat* st) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return fail("open", path, errno);
  if (fstat(fd.get(), st) != 0) return fail("stat", path, errno);
  if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode)) return fd;
  return fail("open", path, ENOTBLK, "a leg or a log is a block device or a regular file");
}

constexpr const char* kReadOnlyHint = "the device is set read-only; see blockdev --setrw";

const char* busy_hint(bool block) {
  return block ? "in use: mounted, part of another device, or held by another program or another dmiofs"
               : "in use by another program or another dmiofs: it holds a lock on this file";
}

Status lock_file(int fd, const std::string& path, bool writable) {
  struct flock lock = {};
  lock.l_type = writable ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return ok_status();
  if (errno == EAGAIN || errno == EACCES) return fail("lock", path, EBUSY, busy_hint(false));
  if (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) {
    log_line(LogLevel::kWarn,
             path + ": its file system has no locks: another dmiofs would not be kept from it");
    return ok_status();
  }
  return fail("lock", path, errno);
}

Status describe_block(int fd, const std::string& path, DeviceInfo* info) {
  uint64_t size = 0;
  int block_size = 512;
  int read_only = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) != 0) return fail("size of", path, errno);
  if (ioctl(fd, BLKSSZGET, &block_size) != 0) return fail("logical block size of", path, errno);
  if (ioctl(fd, BLKROGET, &read_only) != 0) read_only = 0;
  info->size_bytes = size;
  info->logical_block_size = static_cast<uint32_t>(block_size);
  // Before Linux 6.0 memory had to be aligned as the offset is.
  info->memory_align = std::min<uint32_t>(std::max<uint32_t>(512, info->logical_block_size), kPageSize);
  info->direct = true;
  info->read_only_medium = read_only != 0;
  return ok_status();
}

void start_info(DeviceInfo* info, const std::string& path, const struct stat& st) {
  info->path = path;
  info->kind = S_ISBLK(st.st_mode) ? DeviceKind::kBlock : DeviceKind::kFile;
  info->size_bytes = static_cast<uint64_t>(st.st_size);
  info->rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
  info->fs_dev = S_ISBLK(st.st_mode) ? 0 : st.st_dev;
}

// Since Linux 6.5 a read-only block device refuses to be opened for writing with EACCES, as missing
// permission does.
Error open_block_error(int path_fd, const std::string& path, int err) {
  if (err == EBUSY) return fail("open", path, err, busy_hint(true));
  if (err == EACCES) {
    int read_only = 0;
    UniqueFd fd(::open(fd_path(path_fd).c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.valid() && ioctl(fd.get(), BLKROGET, &read_only) == 0 && read_only != 0) {
      return fail("open for writing", path, EROFS, kReadOnlyHint);
    }
  }
  return fail("open", path, err);
}

bool is_in_memory(int fd) {
  struct statfs fs;
  return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

// An image file: O_DIRECT where it is to be had in units that fit, else O_DSYNC.
Result<UniqueFd> open_file(int path_fd, const std::string& path, int access, uint32_t need_alignment,
                           DeviceInfo* info) {
  UniqueFd fd(::open(fd_path(path_fd).c_str(), access | O_DIRECT | O_CLOEXEC));
  DirectIoUnits units;
  if (fd.valid() && direct_io_units(fd.get(), info->size_bytes, &units) &&
      units.offset_align <= need_alignment) {
    info->direct = true;
    info->logical_block_size = units.offset_align;
    info->in_memory = is_in_memory(fd.get());
    info->memory_align = info->in_memory ? 1 : units.memory_align;
    return fd;
  }
  if (!fd.valid() && errno != EINVAL) return fail("open", path, errno);
  fd.reset(::open(fd_path(path_fd).c_str(), access | O_DSYNC | O_CLOEXEC));
  if (!fd.valid()) return fail("open", path, errno);
  info->direct = false;
  info->in_memory = is_in_memory(fd.get());
  info->logical_block_size = 512;
  info->memory_align = 1;
  return fd;
}

}  // namespace

namespace {

// Opens and describes what `path_fd` names; `exclusive` overrides `how`.
Result<UniqueFd> open_as(int path_fd, const std::string& path, const DeviceOpen& how, bool exclusive,
                         DeviceInfo* info) {
  const int access = how.writable ? O_RDWR : O_RDONLY;
  if (info->kind == DeviceKind::kFile) {
    auto opened = open_file(path_fd, path, access, how.need_alignment, info);
    if (!opened.ok() || !exclusive) return opened;
    if (auto locked = lock_file(opened.value().get(), path, how.writable); !locked.ok())
      return locked.error();
    return opened;
  }
  UniqueFd fd(::open(fd_path(path_fd).c_str(), access | O_DIRECT | O_CLOEXEC | (exclusive ? O_EXCL : 0)));
  if (!fd.valid()) return open_block_error(path_fd, path, errno);
  if (auto described = describe_block(fd.get(), path, info); !described.ok()) return described.error();
  if (how.writable && info->read_only_medium) return fail("open for writing", path, EROFS, kReadOnlyHint);
  if (info->logical_block_size > how.need_alignment) {
    return fail("open", path, EINVAL,
                "its logical blocks are " + std::to_string(info->logical_block_size) +
                    " bytes: start sector and sector count must be multiples of that");
  }
  return fd;
}

}  // namespace

Result<std::shared_ptr<Device>> Device::open(const std::string& path, const DeviceOpen& how) {
  struct stat st;
  auto path_fd = open_path(path, &st);
  if (!path_fd.ok()) return path_fd.error();
  DeviceInfo info;
  start_info(&info, path, st);
  info.writable = how.writable;

  const int at = path_fd.value().get();
  DeviceClaim claim;
  auto opened = open_as(at, path, how, how.exclusive, &info);
  if (!opened.ok()) {
    if (opened.error().err != EBUSY || !how.exclusive || !how.share) return opened.error();
    claim = find_claim(st);
    // A file's lock for reading lets other programs read: not enough for a writer.
    if (claim.fd == nullptr || (how.writable && !claim.writable)) return opened.error();
    auto again = open_as(at, path, how, false, &info);
    if (!again.ok()) return again.error();
    opened = std::move(again);
  }
  const auto fd = std::make_shared<const UniqueFd>(opened.take());
  if (how.exclusive && claim.fd == nullptr) {
    claim = {fd, how.writable || info.kind == DeviceKind::kBlock};
    if (how.share) remember_claim(st, claim);
  }
  info.identity = identify_device(fd->get(), st);
  return std::shared_ptr<Device>(new Device(fd, claim.fd, std::move(info)));
}

Result<DeviceInfo> Device::probe(const std::string& path) {
  struct stat st;
  auto path_fd = open_path(path, &st);
  if (!path_fd.ok()) return path_fd.error();
  DeviceInfo info;
  start_info(&info, path, st);
  if (info.kind == DeviceKind::kBlock) {
    UniqueFd fd(::open(fd_path(path_fd.value().get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail("open", path, errno);
    if (auto described = describe_block(fd.get(), path, &info); !described.ok()) return described.error();
    info.identity = identify_device(fd.get(), st);
    return info;
  }
  auto opened = open_file(path_fd.value().get(), path, O_RDONLY, kMaxLogicalBlockSize, &info);
  if (!opened.ok()) return opened.error();
  info.identity = identify_device(opened.value().get(), st);
  info.read_only_medium =
      faccessat(AT_FDCWD, fd_path(path_fd.value().get()).c_str(), W_OK, AT_EACCESS) != 0 && errno == EROFS;
  return info;
}

std::shared_ptr<Device> Device::wrap(UniqueFd fd, DeviceInfo info) {
  return std::shared_ptr<Device>(
      new Device(std::make_shared<const UniqueFd>(std::move(fd)), nullptr, std::move(info)));
}

}  // namespace dmiofs
