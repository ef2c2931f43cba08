#include "mirror/disk_log.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/crc32c.h"
#include "base/little_endian.h"

namespace dmiofs {
namespace {

constexpr size_t kTransferBytes = 64 * 1024;

uint64_t words_for(uint64_t bits) { return (bits + 63) / 64; }

}  // namespace

// One caller of commit(), on its stack.
struct DiskLog::Waiter {
  bool flush = false;
  bool done = false;
  bool lead = false;
  int result = 0;
  Waiter* next = nullptr;
  CondVar changed;
};

DiskLog::DiskLog(const Options& options, std::unique_ptr<LogDevice> device)
    : geometry_(options.geometry),
      writable_(options.writable),
      sync_regions_(options.geometry.sync_regions()),
      unit_(options.geometry.unit()),
      blocks_(options.geometry.record_offset() / options.geometry.unit()),
      device_(std::move(device)),
      durable_(std::make_unique<std::atomic<uint64_t>[]>(words_for(sync_regions_))),
      written_(options.geometry.record_offset()),
      in_flight_(words_for(blocks_)),
      image_(options.geometry.record_offset()),
      pending_(words_for(blocks_)) {}

Result<std::shared_ptr<DiskLog>> DiskLog::open(DmIo& dm_io, std::shared_ptr<Device> bdev,
                                               const Options& options) {
  if (auto checked = options.geometry.check(); !checked.ok()) return checked.error();
  const std::string path = bdev->info().path;
  if (bdev->info().size_bytes < options.geometry.record_offset()) {
    return Error{EINVAL, "open log", path,
                 "it is too small: " + std::to_string(options.geometry.total_bytes()) + " bytes are needed"};
  }
  auto device = LogDevice::create(
      dm_io, std::move(bdev), std::max<size_t>(kTransferBytes, options.geometry.unit()), options.io_timeout);
  if (!device.ok()) return device.error();
  std::shared_ptr<DiskLog> log(new DiskLog(options, device.take()));
  if (auto loaded = log->load(options); !loaded.ok()) return loaded.error();
  return log;
}

Status DiskLog::load(const Options& options) {
  const std::string& path = device_->info().path;
  MutexLock lock(mutex_);  // nobody else knows of it yet: held over this I/O only for the annotations' sake
  if (const int err = device_->read(0, image_); err != 0) return Error{-err, "read log", path, ""};
  found_ = parse_log_header(image_);
  found_checksum_ = crc32c(std::span(image_).first(geometry_.bits_end()));
  written_ = image_;
  uint64_t clean = resume_log_image(image_, sync_regions_, options.all_dirty);
  if (options.all_clean) {
    for (uint64_t at = 0; at < sync_regions_; at++)
      image_[kLogBitsOffset + at / 8] |= static_cast<uint8_t>(1u << (at % 8));
    clean = sync_regions_;
  }
  if (options.owner) write_log_owner(image_, *options.owner);
  dirty_count_ = sync_regions_ - clean;
  if (writable_) {
    for (uint64_t block = 0; block < blocks_; block++) {
      if (std::memcmp(image_.data() + block * unit_, written_.data() + block * unit_, unit_) != 0)
        set_pending(block);
    }
    // Flushed also when nothing is to be written: the bits read may lie in a volatile cache only.
    unflushed_ = true;
    if (const int err = commit(true); err != 0) return Error{-err, "write log", path, ""};
  }
  for (uint64_t at = 0; at < sync_regions_; at++) {
    if (!log_bit_clean(image_, at))
      durable_[at / 64].fetch_or(uint64_t{1} << (at % 64), std::memory_order_relaxed);
  }
  return ok_status();
}

bool DiskLog::durably_dirty(uint64_t first, uint64_t last) const noexcept {
  for (uint64_t word = first / 64; word <= last / 64; word++) {
    uint64_t wanted = ~uint64_t{0};
    if (word == first / 64) wanted &= ~uint64_t{0} << (first % 64);
    if (word == last / 64) wanted &= ~uint64_t{0} >> (63 - last % 64);
    if ((durable_[word].load(std::memory_order_acquire) & wanted) != wanted) return false;
  }
  return true;
}

bool DiskLog::dirty(uint64_t sync_region) const noexcept { return durably_dirty(sync_region, sync_region); }

int DiskLog::mark(uint64_t first, uint64_t last) noexcept {
  if (last < first) return 0;
  if (last >= sync_regions_) return -EINVAL;
  if (durably_dirty(first, last)) return 0;
  if (!writable_) return -EROFS;
  MutexLock lock(mutex_);
  dirty_in_image(first, last);
  return commit(true);
}

// Only blocks with a bit that changes become pending. A bit that is dirty already, but not durably, is in a
// batch under way or in a pending block: this caller's batch follows that one, and writes again what it
// failed to write.
void DiskLog::dirty_in_image(uint64_t first, uint64_t last) noexcept {
  for (uint64_t at = first; at <= last;) {
    const uint64_t byte = kLogBitsOffset + at / 8;
    uint8_t bits = 0xff;
    const uint64_t byte_last = std::min(last, at / 8 * 8 + 7);
    bits = static_cast<uint8_t>((0xffu << (at % 8)) & (0xffu >> (7 - byte_last % 8)));
    const uint8_t changed = image_[byte] & bits;
    if (changed != 0) {
      image_[byte] &= static_cast<uint8_t>(~bits);
      dirty_count_.fetch_add(static_cast<uint64_t>(std::popcount(changed)), std::memory_order_relaxed);
      set_pending(byte / unit_);
    }
    at = byte_last + 1;
  }
}

void DiskLog::set_pending(uint64_t block) noexcept {
  pending_[block / 64] |= uint64_t{1} << (block % 64);
  any_pending_ = true;
}

void DiskLog::stage_clean(uint64_t sync_region) noexcept {
  const uint64_t byte = kLogBitsOffset + sync_region / 8;
  const auto bit = static_cast<uint8_t>(1u << (sync_region % 8));
  MutexLock lock(mutex_);
  if (!writable_ || (image_[byte] & bit) != 0) return;
  // Not durably dirty from here on, whatever is on the log: see mark().
  durable_[sync_region / 64].fetch_and(~(uint64_t{1} << (sync_region % 64)), std::memory_order_acq_rel);
  image_[byte] |= bit;
  dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  set_pending(byte / unit_);
}

int DiskLog::write_clean() noexcept {
  MutexLock lock(mutex_);
  return any_pending_ ? commit(false) : 0;
}

LogStatus DiskLog::status() const noexcept {
  MutexLock lock(mutex_);
  return status_;
}

int DiskLog::settle(uint32_t* checksum) noexcept {
  if (!writable_) return -EROFS;
  MutexLock lock(mutex_);
  if (const int err = commit(true); err != 0) return err;
  if (any_pending_ || writing_) return -EBUSY;
  *checksum = crc32c(std::span(image_).first(geometry_.bits_end()));
  return 0;
}

std::vector<uint64_t> DiskLog::dirty_sync_regions() const {
  std::vector<uint64_t> found;
  MutexLock lock(mutex_);
  for (uint64_t at = 0; at < sync_regions_; at++) {
    if (at % 8 == 0 && image_[kLogBitsOffset + at / 8] == 0xff) {
      at += 7;
      continue;
    }
    if (!log_bit_clean(image_, at)) found.push_back(at);
  }
  return found;
}

// Moves the pending blocks into the batch, with their content as it is now.
bool DiskLog::take_pending() noexcept {
  if (!any_pending_) return false;
  for (size_t word = 0; word < pending_.size(); word++) {
    in_flight_[word] = std::exchange(pending_[word], 0);
    for (uint64_t left = in_flight_[word]; left != 0; left &= left - 1) {
      const uint64_t at = (word * 64 + static_cast<uint64_t>(std::countr_zero(left))) * unit_;
      std::memcpy(written_.data() + at, image_.data() + at, unit_);
    }
  }
  any_pending_ = false;
  return true;
}

// Returns when a batch that started after the call has ended: as its leader, or woken by it.
int DiskLog::commit(bool flush) noexcept {
  Waiter self;
  self.flush = flush;
  (gathering_ == nullptr ? gathering_ : gathering_last_->next) = &self;
  gathering_last_ = &self;
  if (writing_) {
    while (!self.done && !self.lead) self.changed.wait(mutex_);
    if (self.done) return self.result;
  }
  writing_ = true;
  Waiter* const batch = std::exchange(gathering_, nullptr);
  gathering_last_ = nullptr;

  // After a failure dirty bits may be in the image that no flush has covered.
  bool want_flush = status_.err != 0;
  for (const Waiter* waiter = batch; waiter != nullptr; waiter = waiter->next) want_flush |= waiter->flush;
  const bool wrote = take_pending();
  const bool flushes = want_flush && (wrote || unflushed_);
  int err = 0;
  if (wrote || flushes) {
    char failed = 'D';
    mutex_.unlock();
    err = write_batch(wrote, flushes, &failed);
    mutex_.lock();
    if (wrote) writes_.fetch_add(1, std::memory_order_relaxed);
    unflushed_ = !flushes || err != 0;
    status_ = err == 0 ? LogStatus{} : LogStatus{failed, -err};
    finish_batch(err, flushes);
  }
  for (Waiter* waiter = batch; waiter != nullptr;) {
    Waiter* const next = waiter->next;  // read before it is let go
    waiter->result = err;
    waiter->done = true;
    waiter->changed.notify_one();
    waiter = next;
  }
  if (gathering_ != nullptr) {
    gathering_->lead = true;
    gathering_->changed.notify_one();
  } else {
    writing_ = false;
  }
  return err;
}

int DiskLog::write_batch(bool wrote, bool flush, char* failed) noexcept {
  *failed = 'D';
  for (uint64_t block = 0; wrote && block < blocks_;) {
    const uint64_t left = in_flight_[block / 64] >> (block % 64);
    if (left == 0) {
      block = (block / 64 + 1) * 64;
      continue;
    }
    block += static_cast<uint64_t>(std::countr_zero(left));
    uint64_t end = block + 1;
    while (end < blocks_ && (in_flight_[end / 64] >> (end % 64) & 1) != 0) end++;
    const std::span<const uint8_t> bytes(written_.data() + block * unit_, (end - block) * unit_);
    if (const int err = device_->write(block * unit_, bytes); err != 0) return err;
    block = end;
  }
  if (!flush) return 0;
  *failed = 'F';
  return device_->flush();
}

// Success with a flush: what the batch wrote as dirty is durably dirty, unless it was staged clean meanwhile.
// A failure: all of it is to be written again; nothing else changes, as what was durably dirty before was
// dirty in what may have been written.
void DiskLog::finish_batch(int err, bool flushed) noexcept {
  for (size_t word = 0; word < in_flight_.size(); word++) {
    for (uint64_t left = std::exchange(in_flight_[word], 0); left != 0; left &= left - 1) {
      const uint64_t block = word * 64 + static_cast<uint64_t>(std::countr_zero(left));
      if (err != 0) {
        set_pending(block);
        continue;
      }
      if (!flushed) continue;
      const uint64_t first = std::max(block * unit_, kLogBitsOffset);
      const uint64_t end = std::min((block + 1) * unit_, geometry_.bits_end());
      for (uint64_t at = first; at < end; at += 8) {
        const uint64_t dirty_now = ~load_le64(written_.data() + at) & ~load_le64(image_.data() + at);
        if (dirty_now == 0) continue;
        std::atomic<uint64_t>& durable = durable_[(at - kLogBitsOffset) / 8];
        if ((durable.load(std::memory_order_relaxed) & dirty_now) != dirty_now)
          durable.fetch_or(dirty_now, std::memory_order_release);
      }
    }
  }
}

}  // namespace dmiofs
