#include "mirror/log_place.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"
#include "mirror/log_device.h"

namespace dmiofs {
namespace {

// Where file systems, volume managers and partition tables have their signatures; at the end, too.
constexpr uint64_t kSignatureBytes = 1 << 20;

Error fail(const char* step, const std::string& path, int err) { return Error{err, step, path, ""}; }

bool all_of_value(std::span<const uint8_t> bytes, uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](uint8_t byte) { return byte == value; });
}

}  // namespace

Result<LogPlace> look_at_log_place(DmIo& dm_io, const std::shared_ptr<Device>& bdev,
                                   const LogGeometry& geometry) {
  const std::string& path = bdev->info().path;
  auto device = LogDevice::create(dm_io, bdev, 64 * 1024, 0);
  if (!device.ok()) return device.error();
  const uint64_t size = round_down(bdev->info().size_bytes, geometry.logical_block);
  std::vector<uint8_t> head(
      round_up(std::min(size, std::max(geometry.total_bytes(), kSignatureBytes)), geometry.logical_block));
  if (const int err = device.value()->read(0, head); err != 0) return fail("read", path, -err);
  std::vector<uint8_t> tail(std::min(size, kSignatureBytes));
  if (const int err = device.value()->read(size - tail.size(), tail); err != 0)
    return fail("read", path, -err);
  // What follows a file's last whole block is out of direct I/O's reach.
  std::vector<uint8_t> rest(bdev->info().size_bytes - size);
  if (!rest.empty()) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail("open", path, errno);
    if (pread(fd.get(), rest.data(), rest.size(), static_cast<off_t>(size)) !=
        static_cast<ssize_t>(rest.size())) {
      return fail("read", path, EIO);
    }
  }

  LogPlace place;
  place.header = parse_log_header(head);
  place.blank = all_of_value(head, 0) && all_of_value(tail, 0) && all_of_value(rest, 0);
  const auto part = [&](uint64_t offset, uint64_t length) {
    const uint64_t from = std::min<uint64_t>(offset, head.size());
    return std::span<const uint8_t>(head).subspan(from, std::min<uint64_t>(length, head.size() - from));
  };
  const auto slots = part(geometry.record_offset(), 2 * geometry.slot_stride());
  place.record_blank = all_of_value(slots, 0) || all_of_value(slots, 0xff);
  place.record = parse_record(part(geometry.slot_offset(0), geometry.slot_stride()),
                              part(geometry.slot_offset(1), geometry.slot_stride()), geometry);
  if (place.record.newest < 0 && place.header.state == LogHeaderState::kValid) {
    // A log of dmiofs for another number of sync regions.
    const ParsedLog other = parse_log(head, geometry.logical_block);
    if (other.record.newest >= 0) place.record = other.record;
  }
  return place;
}

}  // namespace dmiofs
