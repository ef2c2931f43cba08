#include "device/device_identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <cstring>
#include <fstream>

namespace dmiofs {
namespace {

// The first line of a sysfs file, without trailing space; empty when there is none.
std::string read_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\n')) line.pop_back();
  return line;
}

std::string uevent_value(const std::string& folder, const std::string& key) {
  std::ifstream in(folder + "/uevent");
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind(key + "=", 0) == 0) return line.substr(key.size() + 1);
  }
  return "";
}

// struct xfs_fsop_geom_v1 of the kernel's xfs_fs.h, as far as it is of interest.
struct XfsGeometry {
  uint8_t before[64];
  uint8_t uuid[16];
  uint8_t after[32];
};
static_assert(sizeof(XfsGeometry) == 112);
constexpr unsigned long kXfsIocGeometry = _IOR('X', 100, XfsGeometry);
constexpr decltype(statfs::f_type) kXfsMagic = 0x58465342;

// A number for the file system that a file is on, the same after a reboot where the file system has a UUID.
uint64_t file_system_id(int fd, const struct stat& st) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return st.st_dev;
  switch (fs.f_type) {
    case EXT4_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC: {
      uint64_t id = 0;
      static_assert(sizeof fs.f_fsid == sizeof id);
      std::memcpy(&id, &fs.f_fsid, sizeof id);
      return id != 0 ? id : st.st_dev;
    }
    case kXfsMagic: {
      XfsGeometry geometry = {};
      if (ioctl(fd, kXfsIocGeometry, &geometry) != 0) return st.st_dev;
      uint64_t halves[2];
      std::memcpy(halves, geometry.uuid, sizeof halves);
      return halves[0] ^ halves[1];
    }
    default: return st.st_dev;
  }
}

std::string creation_time(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) != 0 || (stx.stx_mask & STATX_BTIME) == 0) return "";
  return "born:" + std::to_string(stx.stx_btime.tv_sec) + "." + std::to_string(stx.stx_btime.tv_nsec);
}

DeviceIdentity identify_file(int fd, const struct stat& st) {
  DeviceIdentity identity;
  identity.kind = DeviceKind::kFile;
  identity.dev = file_system_id(fd, st);
  identity.inode = st.st_ino;
  identity.serial = creation_time(fd);
  return identity;
}

std::string loop_backing(const std::string& folder) {
  const std::string path = read_line(folder + "/loop/backing_file");
  if (path.empty()) return "";
  const std::string offset = "+" + read_line(folder + "/loop/offset");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat st;
  if (!fd.valid() || fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return "loop:" + path + offset;
  const DeviceIdentity file = identify_file(fd.get(), st);
  return "loop:" + std::to_string(file.dev) + ":" + std::to_string(file.inode) + ":" + file.serial + offset;
}

std::string whole_disk_serial(const std::string& folder) {
  for (const char* name : {"/dm/uuid", "/md/uuid", "/wwid", "/device/wwid", "/serial", "/device/serial"}) {
    const std::string value = read_line(folder + name);
    if (!value.empty()) return value;
  }
  if (const std::string backing = loop_backing(folder); !backing.empty()) return backing;
  const std::string dm_name = read_line(folder + "/dm/name");
  return dm_name.empty() ? "" : "dm-name:" + dm_name;
}

std::string block_serial(const std::string& folder) {
  const std::string partition = read_line(folder + "/partition");
  if (partition.empty()) return whole_disk_serial(folder);
  const std::string disk = whole_disk_serial(folder + "/..");
  if (!disk.empty()) return disk + "-part" + partition + "@" + read_line(folder + "/start");
  const std::string uuid = uevent_value(folder, "PARTUUID");
  return uuid.empty() ? "" : "partuuid:" + uuid;
}

}  // namespace

DeviceIdentity identify_device(int fd, const struct stat& st) {
  if (S_ISREG(st.st_mode)) return identify_file(fd, st);
  DeviceIdentity identity;
  identity.kind = DeviceKind::kBlock;
  identity.serial = block_serial("/sys/dev/block/" + std::to_string(major(st.st_rdev)) + ":" +
                                 std::to_string(minor(st.st_rdev)));
  if (identity.serial.empty()) identity.dev = st.st_rdev;
  return identity;
}

}  // namespace dmiofs
