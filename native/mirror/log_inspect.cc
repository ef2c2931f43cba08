#include "mirror/log_inspect.h"

#include <algorithm>

#include "mirror/log_device.h"

namespace dmiofs {

Result<InspectedLog> inspect_log(DmIo& dm_io, const std::string& path) {
  DeviceOpen how;
  how.writable = false;
  how.exclusive = false;
  how.need_alignment = kMaxLogicalBlockSize;
  auto bdev = Device::open(path, how);
  if (!bdev.ok()) return bdev.error();
  InspectedLog inspected;
  inspected.size_bytes = bdev.value()->info().size_bytes;
  inspected.logical_block = bdev.value()->info().logical_block_size;
  auto device = LogDevice::create(dm_io, bdev.take(), 64 * 1024, 0);
  if (!device.ok()) return device.error();

  const uint64_t readable = round_down(inspected.size_bytes, inspected.logical_block);
  std::vector<uint8_t> bytes(
      std::min<uint64_t>(readable, std::max<uint64_t>(kPageSize, inspected.logical_block)));
  if (const int err = device.value()->read(0, bytes); err != 0) return Error{-err, "read log", path, ""};
  const LogHeader header = parse_log_header(bytes);
  if (header.state == LogHeaderState::kValid && header.nr_regions <= kMaxSyncRegions) {
    const LogGeometry geometry{header.nr_regions, 1, inspected.logical_block};
    bytes.resize(std::min(readable, geometry.total_bytes()));
    if (const int err = device.value()->read(0, bytes); err != 0) return Error{-err, "read log", path, ""};
  }
  inspected.log = parse_log(bytes, inspected.logical_block);
  return inspected;
}

}  // namespace dmiofs
