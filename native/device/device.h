// Device: an open block device or image file, the thing an I/O region lies on.
//
// A device knows its size, the unit in which direct I/O must be aligned, and who it is (DeviceIdentity), so
// that a device that comes back under the same name can be told from the one that left. Reads and writes go
// through an engine (engine/engine.h), never through this class.
//
// STATES: open until destroyed. THREAD SAFETY: constant after open() but for a counter; used by any thread.
// OWNERSHIP: shared_ptr. An I/O in flight does not hold one: whoever issues I/O keeps the device alive until
// it ended (for I/O that outlived its deadline the request does, dmio/request_slot.h).
//
// Opening: O_DIRECT where the file system has it, else O_DSYNC: an acknowledged write is on the device, and
// its error is the error of that write. Exclusive: O_EXCL on block devices (as mount and mkfs do), an OFD
// write lock on image files. Several I/O regions on one device: those who open it with `share` share one claim
// within the process (shared_claims.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/sector.h"
#include "base/unique_fd.h"

namespace dmiofs {

enum class DeviceKind { kBlock, kFile };
inline constexpr uint32_t kMaxLogicalBlockSize = 65536;

// Who a device is, beyond its name: what holds over a reboot where the system tells. Stored in the set's
// record (mirror/set_record.h); device_identity.h says where each part comes from.
struct DeviceIdentity {
  DeviceKind kind = DeviceKind::kFile;
  uint64_t dev = 0;    // file: its file system; block device: 0 when `serial` is known, else st_rdev
  uint64_t inode = 0;  // file: st_ino; block device: 0
  std::string serial;  // block device: what sysfs knows it by; file: when it was created, since inode numbers
                       // are used again
  // A file whose creation time one side does not know is told by file system and inode alone.
  bool operator==(const DeviceIdentity& other) const {
    return kind == other.kind && dev == other.dev && inode == other.inode &&
           (serial == other.serial ||
            (kind == DeviceKind::kFile && (serial.empty() || other.serial.empty())));
  }
};

struct DeviceInfo {
  std::string path;
  DeviceKind kind = DeviceKind::kFile;
  uint64_t size_bytes = 0;
  uint32_t logical_block_size =
      512;  // offsets and lengths of I/O must be multiples of it; power of two, 512..65536
  uint32_t memory_align = 512;  // of buffers; power of two
  bool direct = false;          // O_DIRECT (else O_DSYNC)
  bool in_memory = false;       // a file of tmpfs or ramfs: a transfer is a copy and waits for no device
  bool writable = false;
  bool read_only_medium = false;  // BLKROGET, or a read-only file system
  uint64_t rdev = 0;              // block device: st_rdev
  uint64_t fs_dev = 0;            // file: st_dev of the file system it is on, as it is now
  DeviceIdentity identity;
};

struct DeviceOpen {
  bool writable = true;
  bool exclusive = true;
  // With `exclusive`: what this process holds exclusively already, by another open with `share`, is no
  // EBUSY. For I/O regions that the caller has checked not to overlap.
  bool share = false;
  // I/O will be aligned to this many bytes only (an I/O region that starts or ends off the file's direct I/O
  // unit): when the unit is larger, an image file is opened with O_DSYNC instead of O_DIRECT; a block device
  // is refused (EINVAL).
  uint32_t need_alignment = 4096;
};

class Device {
 public:
  // Errors: ENOENT, EACCES, EBUSY (in use by another program or another dmiofs; the hint says so), EROFS,
  // ENOTBLK (neither a block device nor a regular file), ENXIO, EINVAL.
  static Result<std::shared_ptr<Device>> open(const std::string& path, const DeviceOpen& how);

  // Looks without opening for writing, locking or waiting. For config checks.
  static Result<DeviceInfo> probe(const std::string& path);

  // Wraps a descriptor that open() did not make (native tests, null engine): `info` says what it claims to
  // be.
  static std::shared_ptr<Device> wrap(UniqueFd fd, DeviceInfo info);

  const DeviceInfo& info() const { return info_; }
  int fd() const { return fd_->get(); }

  // Both hold one claim: they are on the very same device, not on one that came later under its name.
  bool same_claim(const Device& other) const { return claim_ != nullptr && claim_ == other.claim_; }

  // I/O that its caller no longer waits for and that has not ended (dmio/request_slot.h). What it writes may
  // still land: until this is 0 nothing newer may be written where it writes.
  unsigned late_ios() const { return late_ios_.load(std::memory_order_acquire); }
  void late_io_started() const { late_ios_.fetch_add(1, std::memory_order_relaxed); }
  void late_io_ended() const { late_ios_.fetch_sub(1, std::memory_order_release); }

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

 private:
  Device(std::shared_ptr<const UniqueFd> fd, std::shared_ptr<const UniqueFd> claim, DeviceInfo info)
      : fd_(std::move(fd)), claim_(std::move(claim)), info_(std::move(info)) {}

  const std::shared_ptr<const UniqueFd> fd_;
  const std::shared_ptr<const UniqueFd> claim_;  // null: not exclusive; fd_ itself, or that of who came first
  const DeviceInfo info_;
  mutable std::atomic<unsigned> late_ios_{0};
};

}  // namespace dmiofs
