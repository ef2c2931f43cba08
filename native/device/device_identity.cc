#include "device/device_identity.h"

#include <sys/sysmacros.h>

#include <fstream>
#include <iterator>

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

std::string loop_backing(const std::string& folder) {
  const std::string path = read_line(folder + "/loop/backing_file");
  if (path.empty()) return "";
  struct stat st;
  const std::string offset = read_line(folder + "/loop/offset");
  if (stat(path.c_str(), &st) != 0) return "loop:" + path + "+" + offset;
  return "loop:" + std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) + "+" + offset;
}

std::string whole_disk_serial(const std::string& folder) {
  for (const char* name : {"/dm/uuid", "/wwid", "/device/wwid", "/serial", "/device/serial"}) {
    const std::string value = read_line(folder + name);
    if (!value.empty()) return value;
  }
  return loop_backing(folder);
}

}  // namespace

DeviceIdentity identify_device(const struct stat& st) {
  DeviceIdentity identity;
  if (S_ISREG(st.st_mode)) {
    identity.kind = DeviceKind::kFile;
    identity.dev = st.st_dev;
    identity.inode = st.st_ino;
    return identity;
  }
  identity.kind = DeviceKind::kBlock;
  const std::string folder =
      "/sys/dev/block/" + std::to_string(major(st.st_rdev)) + ":" + std::to_string(minor(st.st_rdev));
  const std::string partition = read_line(folder + "/partition");
  if (partition.empty()) {
    identity.serial = whole_disk_serial(folder);
  } else if (const std::string uuid = uevent_value(folder, "PARTUUID"); !uuid.empty()) {
    identity.serial = "partuuid:" + uuid;
  } else if (const std::string disk = whole_disk_serial(folder + "/.."); !disk.empty()) {
    identity.serial = disk + "-part" + partition;
  }
  if (identity.serial.empty()) identity.dev = st.st_rdev;
  return identity;
}

}  // namespace dmiofs
