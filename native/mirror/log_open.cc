#include "mirror/log_open.h"

#include <algorithm>
#include <cerrno>

#include "mirror/log_create.h"

namespace dmiofs {
namespace {

constexpr const char* kNobodyKnows =
    "without it nobody knows which leg holds what was written last; if you know it, put that leg first, ";

Error refuse(const OpenLogOptions& options, int err, const std::string& why, const std::string& then) {
  return Error{err, "open log", options.path, why + ": " + kNobodyKnows + then};
}

const char* const kMoveAway = "move the log away and run `dmiofs init`";

Result<std::shared_ptr<Device>> open_device(const OpenLogOptions& options) {
  DeviceOpen how;
  how.writable = options.writable;
  how.need_alignment = kMaxLogicalBlockSize;
  auto bdev = Device::open(options.path, how);
  if (!bdev.ok() && bdev.error().err == ENOENT)
    return refuse(options, ENOENT, "the log is missing. If the set is new, run `dmiofs init` first. Else",
                  "and run `dmiofs init`");
  return bdev;
}

Result<LogHeader> read_header(DmIo& dm_io, const std::shared_ptr<Device>& bdev, const LogGeometry& geometry,
                              nanos_t io_timeout) {
  auto device = LogDevice::create(dm_io, bdev, geometry.unit(), io_timeout);
  if (!device.ok()) return device.error();
  std::vector<uint8_t> first(geometry.unit());
  if (const int err = device.value()->read(0, first); err != 0)
    return Error{-err, "read log", bdev->info().path, ""};
  return parse_log_header(first);
}

// Where the record lies when the log was made for another number of sync regions.
bool other_place(const LogHeader& header, const LogGeometry& wanted, uint64_t device_bytes,
                 LogGeometry* other) {
  if (header.state != LogHeaderState::kValid || header.nr_regions == 0 || header.nr_regions > kMaxSyncRegions)
    return false;
  *other = LogGeometry{header.nr_regions, 1, wanted.logical_block};
  return other->record_offset() != wanted.record_offset() && other->total_bytes() <= device_bytes;
}

// Why there is no record to go by, and what to do.
Error no_record(const OpenLogOptions& options, const LogHeader& header, const std::string& problem) {
  if (problem != kNoRecord) {
    return refuse(options, EUCLEAN, "the record of the set cannot be trusted (" + problem + ")", kMoveAway);
  }
  if (header.owner) return refuse(options, EUCLEAN, "the record of the set is lost", kMoveAway);
  switch (header.state) {
    case LogHeaderState::kBlank:
      return Error{ENODATA, "open log", options.path, "it is blank: run `dmiofs init` first"};
    case LogHeaderState::kValid:
      return Error{ENODATA, "open log", options.path,
                   "a dirty region log without the record of a set: `dmiofs init` takes over the log of a "
                   "kernel mirror"};
    case LogHeaderState::kNotALog:
    case LogHeaderState::kUnknownVersion: break;
  }
  return Error{EINVAL, "open log", options.path, "it is not a log of dmiofs: is `log.path` right?"};
}

// Opens the record where it should be, else where it was when the log was made for another number of sync regions; `place` says where.
Result<std::shared_ptr<DiskRecordStore>> find_record(DmIo& dm_io, const OpenLogOptions& options,
                                                     const std::shared_ptr<Device>& bdev,
                                                     const LogHeader& header, LogGeometry* place) {
  const LogGeometry wanted = *place;
  const uint64_t device_bytes = bdev->info().size_bytes;
  std::shared_ptr<DiskRecordStore> found;
  std::string problem = kNoRecord;
  if (wanted.total_bytes() <= device_bytes) {
    auto store = DiskRecordStore::open(dm_io, bdev, wanted, options.io_timeout, options.writable);
    if (!store.ok()) return store.error();
    found = store.take();
    if (found->load().record() != nullptr) return found;
    problem = found->load().problem;
  }
  LogGeometry other;
  if (other_place(header, wanted, device_bytes, &other)) {
    auto store = DiskRecordStore::open(dm_io, bdev, other, options.io_timeout, false);
    if (!store.ok()) return store.error();
    if (store.value()->load().record() != nullptr) {
      *place = other;
      return store.take();
    }
    if (found == nullptr) problem = store.value()->load().problem;
  } else if (found == nullptr && (header.owner || header.state != LogHeaderState::kValid)) {
    return refuse(options, EUCLEAN, "the log is cut off", kMoveAway);
  }
  return no_record(options, header, problem);
}

// Whether the bits say what the record's set wrote; else sets all_dirty and says why.
void judge_bits(const OpenLogOptions& options, const LogHeader& header, OpenedLog* result) {
  const SetRecord& record = result->record;
  const auto number = [](uint64_t value) { return std::to_string(value); };
  const LogGeometry recorded{record.count, record.sync_region_sectors, 512};
  if (record.count != options.count || record.sync_region_sectors != options.sync_region_sectors) {
    result->all_dirty = true;
    result->note = "the log was made for " + number(record.count) + " sectors in sync regions of " +
                   number(record.sync_region_sectors) + ", now there are " + number(options.count) +
                   " in sync regions of " + number(options.sync_region_sectors);
  } else if (header.state != LogHeaderState::kValid) {
    result->all_dirty = true;
    result->note = std::string("the header of the log is damaged (") + to_string(header.state) + ")";
  } else if (header.nr_regions != recorded.sync_regions()) {
    result->all_dirty = true;
    result->written_by_other = true;
    result->note = "the log was written by someone else, for " + number(header.nr_regions) +
                   " sync regions instead of " + number(recorded.sync_regions());
  } else if (!header.owner) {
    result->all_dirty = true;
    result->written_by_other = true;
    result->note = "the log was made anew by someone else";
  }
}

}  // namespace

Result<OpenedLog> open_log(DmIo& dm_io, const OpenLogOptions& options) {
  auto opened = open_device(options);
  if (!opened.ok()) return opened.error();
  std::shared_ptr<Device> bdev = opened.take();
  const LogGeometry geometry{options.count, options.sync_region_sectors, bdev->info().logical_block_size};
  if (auto checked = geometry.check(); !checked.ok()) return checked.error();
  if (bdev->info().size_bytes < geometry.unit())
    return refuse(options, EUCLEAN, "the log is cut off", kMoveAway);
  auto header = read_header(dm_io, bdev, geometry, options.io_timeout);
  if (!header.ok()) return header.error();

  OpenedLog result;
  LogGeometry place = geometry;
  auto found = find_record(dm_io, options, bdev, header.value(), &place);
  if (!found.ok()) return found.error();
  result.record_store = found.take();
  result.record = *result.record_store->load().record();
  if (header.value().owner && *header.value().owner != result.record.uuid) {
    return refuse(options, EUCLEAN,
                  "its bits belong to set " + to_string(*header.value().owner) + " and its record to set " +
                      to_string(result.record.uuid),
                  kMoveAway);
  }
  judge_bits(options, header.value(), &result);

  const bool was_clean = result.record.clean;
  result.record.count = options.count;
  result.record.sync_region_sectors = options.sync_region_sectors;
  if (place.record_offset() != geometry.record_offset()) {
    if (!options.writable)
      return Error{EROFS, "open log", options.path, result.note + ": start the set once for writing"};
    if (bdev->info().kind == DeviceKind::kBlock) {
      return Error{EINVAL, "open log", options.path,
                   result.note +
                       ": the record cannot move safely on a block device; give the size or region_size it "
                       "was made for, or " +
                       "wipe it (`wipefs`, `blkdiscard -z`) and run `dmiofs init`"};
    }
    result.record_store.reset();
    bdev.reset();
    if (auto moved =
            relayout_log(dm_io, options.path, geometry.count, geometry.sync_region_sectors, &result.record);
        !moved.ok()) {
      return moved.error();
    }
    auto again = open_device(options);
    if (!again.ok()) return again.error();
    bdev = again.take();
    auto store = DiskRecordStore::open(dm_io, bdev, geometry, options.io_timeout, true);
    if (!store.ok()) return store.error();
    result.record_store = store.take();
  }

  DiskLog::Options how;
  how.geometry = geometry;
  how.io_timeout = options.io_timeout;
  how.writable = options.writable;
  how.all_dirty = result.all_dirty;
  how.owner = result.record.uuid;
  auto log = DiskLog::open(dm_io, bdev, how);
  if (!log.ok()) return log.error();
  result.log = log.take();
  if (!result.all_dirty && was_clean && result.record.log_checksum != result.log->found_checksum()) {
    result.written_by_other = true;
    result.note = "the log was written by someone else since the set was stopped";
  }
  result.record.start_count++;
  result.record_store->attach(result.log);
  return result;
}

}  // namespace dmiofs
