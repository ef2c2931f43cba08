#include "mirror/record_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace dmiofs {

DiskRecordStore::DiskRecordStore(const LogGeometry& geometry, std::unique_ptr<LogDevice> device,
                                 bool writable)
    : geometry_(geometry),
      writable_(writable),
      device_(std::move(device)),
      out_(geometry.slot_stride()),
      next_(geometry.slot_stride()) {}

Result<std::shared_ptr<DiskRecordStore>> DiskRecordStore::open(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                                               const LogGeometry& geometry,
                                                               nanos_t io_timeout, bool writable) {
  const std::string path = bdev->info().path;
  if (bdev->info().size_bytes < geometry.total_bytes()) {
    return Error{EINVAL, "open the record of the set in log", path,
                 "the log is cut off: it has " + std::to_string(bdev->info().size_bytes) + " bytes of " +
                     std::to_string(geometry.total_bytes())};
  }
  auto device = LogDevice::create(dm_io, std::move(bdev), geometry.slot_stride(), io_timeout);
  if (!device.ok()) return device.error();
  std::shared_ptr<DiskRecordStore> store(new DiskRecordStore(geometry, device.take(), writable));
  std::vector<uint8_t> slots[2];
  for (unsigned slot = 0; slot < 2; slot++) {
    slots[slot].resize(geometry.slot_stride());
    if (const int err = store->device_->read(geometry.slot_offset(slot), slots[slot]); err != 0) {
      // An unreadable slot may be the newer one: the other is not to be trusted alone.
      return Error{-err, "read the record of the set in log", path, ""};
    }
  }
  store->found_ = parse_record(slots[0], slots[1], geometry);
  if (const SetRecord* record = store->found_.record(); record != nullptr) {
    MutexLock lock(store->mutex_);
    store->durable_generation_ = record->generation;
    store->durable_slot_ = static_cast<unsigned>(store->found_.newest);
  }
  return store;
}

int DiskRecordStore::store(const SetRecord& record) noexcept {
  if (!writable_) return -EROFS;
  MutexLock lock(mutex_);
  if (record.generation <= durable_generation_) return 0;
  if (record.generation > next_generation_) {
    const size_t length = encode_record(record, next_);
    if (length == 0) return -EINVAL;
    next_length_ = length;
    next_generation_ = record.generation;
    next_clean_ = record.clean;
  }
  // The first attempt that starts from here on writes it. One under way does not.
  const uint64_t mine = attempts_ + (writing_ ? 2 : 1);
  while (writing_ && attempts_ < mine) changed_.wait(mutex_);
  if (record.generation <= durable_generation_) return 0;
  if (attempts_ >= mine) return last_error_ != 0 ? last_error_ : -EIO;

  writing_ = true;
  const size_t length = next_length_;
  const uint64_t generation = next_generation_;
  const bool clean = next_clean_;
  const unsigned slot = 1 - durable_slot_;
  std::memcpy(out_.data(), next_.data(), length);
  mutex_.unlock();
  const int err = write_slot(length, slot, clean);
  mutex_.lock();
  writing_ = false;
  attempts_++;
  last_error_ = err;
  if (err == 0) {
    durable_generation_ = generation;
    durable_slot_ = slot;
    suspect_slot_ = -1;
  } else {
    suspect_slot_ = static_cast<int>(slot);
  }
  changed_.notify_all();
  return err;
}

int DiskRecordStore::write_slot(size_t length, unsigned slot, bool clean) noexcept {
  uint32_t checksum = 0;
  if (clean) {
    // Bits that are not on stable storage, or that nobody has: not a clean stop.
    if (log_ == nullptr) return -EINVAL;
    if (const int err = log_->settle(&checksum); err != 0) return err;
  }
  const size_t whole = round_up(length, geometry_.unit());
  std::memset(out_.data() + length, 0, whole - length);
  seal_record(std::span(out_).first(length), slot, geometry_.slot_offset(slot), clean, checksum);
  if (const int err = device_->write(geometry_.slot_offset(slot), std::span(out_).first(whole)); err != 0)
    return err;
  return device_->flush();
}

uint64_t DiskRecordStore::durable_generation() const {
  MutexLock lock(mutex_);
  return durable_generation_;
}

int DiskRecordStore::suspect_slot() const {
  MutexLock lock(mutex_);
  return suspect_slot_;
}

}  // namespace dmiofs
