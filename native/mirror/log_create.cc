#include "mirror/log_create.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/scope_exit.h"
#include "base/unique_fd.h"
#include "mirror/disk_log.h"
#include "mirror/log_place.h"
#include "mirror/record_store.h"

namespace dmiofs {
namespace {

Error fail(const char* step, const std::string& object, int err, std::string hint = "") {
  return Error{err, step, object, std::move(hint)};
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail("open", folder, errno);
  if (fsync(fd.get()) != 0) return fail("sync", folder, errno);
  return ok_status();
}

// Every block is written, not only allocated: no later write can find the file system full, and none has to
// change the file's metadata.
Status fill_with_zeros(int fd, const std::string& path, uint64_t from, uint64_t to) {
  if (fallocate(fd, 0, static_cast<off_t>(from), static_cast<off_t>(to - from)) != 0 && errno != EOPNOTSUPP) {
    return fail("allocate", path, errno, std::to_string(to) + " bytes are needed");
  }
  const std::vector<uint8_t> zeros(64 * 1024);
  for (uint64_t at = from; at < to;) {
    const ssize_t done =
        pwrite(fd, zeros.data(), std::min<uint64_t>(zeros.size(), to - at), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return fail("write", path, done < 0 ? errno : ENOSPC);
    at += static_cast<uint64_t>(done);
  }
  if (fsync(fd) != 0) return fail("sync", path, errno);
  return ok_status();
}

Result<std::shared_ptr<Device>> open_device(const std::string& path) {
  DeviceOpen how;
  how.need_alignment = kMaxLogicalBlockSize;
  return Device::open(path, how);
}

struct Layout {
  sector_t count = 0;
  sector_t sync_region_sectors = 0;
  bool all_clean = false;
  bool all_dirty = false;
};

LogGeometry geometry_on(const Device& bdev, sector_t count, sector_t sync_region_sectors) {
  return LogGeometry{count, sync_region_sectors, bdev.info().logical_block_size};
}

// Bits first, then the record: what a crash leaves between the two is a kernel's log, which can be taken
// over. `record` with 0 sectors: from the bits.
Status write_log(DmIo& dm_io, const std::shared_ptr<Device>& bdev, const Layout& layout, SetRecord* record,
                 bool adopt) {
  DiskLog::Options how;
  how.geometry = geometry_on(*bdev, layout.count, layout.sync_region_sectors);
  how.all_clean = layout.all_clean;
  how.all_dirty = layout.all_dirty;
  how.owner = record->uuid;
  auto log = DiskLog::open(dm_io, bdev, how);
  if (!log.ok()) return log.error();
  auto store = DiskRecordStore::open(dm_io, bdev, how.geometry, 0, true);
  if (!store.ok()) return store.error();
  store.value()->attach(log.value());
  const bool in_sync = adopt ? log.value()->count_dirty() == 0 : layout.all_clean;
  if (record->generation == 0) {
    record->generation = 1;
    for (size_t i = 1; i < record->legs.size() && !in_sync; i++) {
      record->legs[i].state = LegState::kRebuilding;
      record->legs[i].left_generation = 1;
    }
  }
  if (const int err = store.value()->store(*record); err != 0)
    return fail("write the record of the set to log", bdev->info().path, -err);
  return ok_status();
}

// The new file has its name only when it is complete.
Status make_log_file(DmIo& dm_io, const std::string& path, const Layout& layout, SetRecord* record,
                     bool replace) {
  std::string temporary = path + ".XXXXXX";
  {
    const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
    if (!fd.valid()) return fail("create log", path, errno);
    ScopeExit remove([&] { unlink(temporary.c_str()); });
    // The largest that any direct I/O unit of the file can ask for.
    const LogGeometry most{layout.count, layout.sync_region_sectors, kPageSize};
    if (auto filled = fill_with_zeros(fd.get(), path, 0, most.total_bytes()); !filled.ok()) return filled;
    remove.dismiss();
  }
  ScopeExit remove([&] { unlink(temporary.c_str()); });
  {
    auto bdev = open_device(temporary);
    if (!bdev.ok()) return bdev.error();
    if (geometry_on(*bdev.value(), layout.count, layout.sync_region_sectors).total_bytes() >
        bdev.value()->info().size_bytes) {
      return fail("create log", path, EINVAL, "the file system's direct I/O unit is larger than 4096 bytes");
    }
    if (auto written = write_log(dm_io, bdev.value(), layout, record, false); !written.ok()) return written;
  }
  if (replace) {
    if (rename(temporary.c_str(), path.c_str()) != 0) return fail("rename log to", path, errno);
  } else if (syscall(SYS_renameat2, AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) !=
             0) {
    if (errno != EINVAL && errno != ENOSYS) return fail("create log", path, errno);
    if (link(temporary.c_str(), path.c_str()) != 0) return fail("create log", path, errno);
    unlink(temporary.c_str());
  }
  remove.dismiss();
  return sync_folder(path);
}

Status extend_file(const std::string& path, uint64_t from, uint64_t to) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return fail("open log", path, errno);
  return fill_with_zeros(fd.get(), path, from, to);
}

Result<LogCreation> lay_out_in_place(DmIo& dm_io, const CreateLogOptions& options, SetRecord* record) {
  auto opened = open_device(options.path);
  if (!opened.ok()) return opened.error();
  std::shared_ptr<Device> bdev = opened.take();
  const LogGeometry geometry = geometry_on(*bdev, options.count, options.sync_region_sectors);
  auto looked = look_at_log_place(dm_io, bdev, geometry);
  if (!looked.ok()) return looked.error();
  const LogPlace& place = looked.value();
  const auto refuse = [&](int err, const std::string& why) {
    return fail("create log", options.path, err, why);
  };
  if (place.record.newest >= 0)
    return refuse(EEXIST, "it is the log of a set already; `dmiofs init` never overwrites one");
  if (place.header.owner) {
    return refuse(
        EUCLEAN,
        "it is the log of a set whose record is lost (" + to_string(*place.header.owner) +
            "): which leg is right cannot be told from it; if you know, put that leg first and wipe the log");
  }
  const bool adopt = place.header.state == LogHeaderState::kValid;
  if (!adopt && !place.blank) {
    return refuse(EINVAL,
                  "it is neither blank nor a dirty region log; if nothing on it is needed, wipe it first");
  }
  if (adopt && !place.record_blank)
    return refuse(EINVAL, "there is something behind the kernel's log, where the record of the set goes");
  const uint64_t size = bdev->info().size_bytes;
  if (size < geometry.total_bytes()) {
    if (bdev->info().kind == DeviceKind::kBlock) {
      return fail("create log", options.path, ENOSPC,
                  "it has " + std::to_string(size) + " bytes, " + std::to_string(geometry.total_bytes()) +
                      " are needed");
    }
    bdev.reset();
    if (auto extended = extend_file(options.path, size, geometry.total_bytes()); !extended.ok())
      return extended.error();
    auto again = open_device(options.path);
    if (!again.ok()) return again.error();
    bdev = again.take();
  }
  const Layout layout{options.count, options.sync_region_sectors, !adopt && options.in_sync,
                      !adopt && !options.in_sync};
  if (auto written = write_log(dm_io, bdev, layout, record, adopt); !written.ok()) return written.error();
  return adopt ? LogCreation::kAdopted : LogCreation::kCreated;
}

}  // namespace

Result<LogCreation> create_log(DmIo& dm_io, const CreateLogOptions& options) {
  const LogGeometry wanted{options.count, options.sync_region_sectors, 512};
  if (auto checked = wanted.check(); !checked.ok()) return checked.error();
  if (options.legs.empty() || options.legs.size() > kMaxIoRegions) {
    return fail("create log", options.path, EINVAL, "a mirror set has 1 to 64 legs");
  }
  SetRecord record;
  record.uuid = make_uuid();
  record.count = options.count;
  record.sync_region_sectors = options.sync_region_sectors;
  record.clean = true;
  for (const LegRecord& given : options.legs) {
    LegRecord leg;
    leg.uuid = make_uuid();
    leg.identity = record_identity(given.identity);
    leg.sector = given.sector;
    leg.count = options.count;
    record.legs.push_back(std::move(leg));
  }
  struct stat st;
  if (stat(options.path.c_str(), &st) == 0) return lay_out_in_place(dm_io, options, &record);
  if (errno != ENOENT) return fail("create log", options.path, errno);
  const Layout layout{options.count, options.sync_region_sectors, options.in_sync, !options.in_sync};
  if (auto made = make_log_file(dm_io, options.path, layout, &record, false); !made.ok()) return made.error();
  return LogCreation::kCreated;
}

Status relayout_log(DmIo& dm_io, const std::string& path, sector_t count, sector_t sync_region_sectors,
                    SetRecord* record) {
  // Not the symbolic link is to be replaced but the file behind it.
  char* const real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return fail("resolve", path, errno);
  const std::string target = real;
  std::free(real);
  SetRecord next = *record;
  next.generation++;
  // Not a clean stop's record any more: nobody may take these bits for more than they are.
  next.clean = false;
  const Layout layout{count, sync_region_sectors, false, true};
  if (auto made = make_log_file(dm_io, target, layout, &next, true); !made.ok()) return made;
  *record = next;
  return ok_status();
}

}  // namespace dmiofs
