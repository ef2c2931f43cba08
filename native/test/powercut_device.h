// Disks in memory that lose power: a write is in the disk's cache until a flush. At a cut every write not
// flushed is lost, kept or torn at 512 bytes, by seed. An Engine, so that the real code runs on top of it.
//
//     PowercutDisks disks(seed);  auto bdev = disks.add("log", 65536);  DmIo::create(disks.engine(), ...)
//     disks.power_off_after(17);  ...  disks.cut();  // power is back, caches are gone
//
// THREAD SAFETY: thread-safe; an Io is done in the thread that submits it.
#pragma once

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "device/device.h"
#include "engine/engine.h"
#include "harness.h"

namespace dmiofs::test {

class PowercutDisks {
 public:
  explicit PowercutDisks(uint64_t seed) : random_(seed), engine_(std::make_shared<PowercutEngine>(*this)) {}

  std::shared_ptr<Device> add(const std::string& name, uint64_t bytes, uint32_t logical_block = 512) {
    MutexLock lock(mutex_);
    disks_[name].stable.resize(bytes);
    disks_[name].cached.resize(bytes);
    sizes_[name] = {bytes, logical_block};
    return wrap(name);
  }
  std::shared_ptr<Device> open(const std::string& name) {
    MutexLock lock(mutex_);
    return wrap(name);
  }
  std::shared_ptr<Engine> engine() { return engine_; }

  // The `ios`-th Io from now on is the first that finds no power: it, and all after it, end with -EIO; a
  // write that is hit may be torn.
  void power_off_after(uint64_t ios) {
    MutexLock lock(mutex_);
    left_ = ios;
    limited_ = true;
  }
  bool power_is_off() {
    MutexLock lock(mutex_);
    return limited_ && left_ == 0;
  }
  // Every Io that `fails` names ends with this -errno, undone. Null: none.
  void set_fault(int (*fails)(const Io& io)) {
    MutexLock lock(mutex_);
    fault_ = fails;
  }

  void cut() {
    MutexLock lock(mutex_);
    for (auto& [name, disk] : disks_) {
      for (const Write& write : disk.unflushed) settle(disk, write);
      disk.unflushed.clear();
      disk.cached = disk.stable;
    }
    limited_ = false;
  }

  // The program died, not the power: the disks lose nothing that they took.
  void keep() {
    MutexLock lock(mutex_);
    for (auto& [name, disk] : disks_) {
      disk.unflushed.clear();
      disk.stable = disk.cached;
    }
    limited_ = false;
  }

  // What is on the disk now, cache included.
  std::vector<uint8_t> content(const std::string& name) {
    MutexLock lock(mutex_);
    return disks_[name].cached;
  }
  void poke(const std::string& name, uint64_t offset, uint8_t flip) {
    MutexLock lock(mutex_);
    disks_[name].cached[offset] ^= flip;
    disks_[name].stable[offset] ^= flip;
  }
  uint64_t written_bytes(const std::string& name) {
    MutexLock lock(mutex_);
    return disks_[name].written;
  }
  uint64_t flushes(const std::string& name) {
    MutexLock lock(mutex_);
    return disks_[name].flushes;
  }

 private:
  struct Write {
    uint64_t offset;
    std::vector<uint8_t> bytes;
  };
  struct Disk {
    std::vector<uint8_t> stable, cached;
    std::vector<Write> unflushed;
    uint64_t written = 0, flushes = 0;
  };
  struct Shape {
    uint64_t bytes;
    uint32_t logical_block;
  };

  std::shared_ptr<Device> wrap(const std::string& name) REQUIRES(mutex_) {
    DeviceInfo info;
    info.path = name;
    info.size_bytes = sizes_[name].bytes;
    info.logical_block_size = sizes_[name].logical_block;
    info.writable = true;
    info.identity.serial = name;
    return Device::wrap(UniqueFd(), info);
  }

  void settle(Disk& disk, const Write& write) REQUIRES(mutex_) {
    const uint64_t fate = random_.below(3);  // lost, kept, torn
    for (size_t at = 0; at < write.bytes.size(); at += 512) {
      if (fate == 0 || (fate == 2 && random_.chance(50))) continue;
      std::memcpy(disk.stable.data() + write.offset + at, write.bytes.data() + at,
                  std::min<size_t>(512, write.bytes.size() - at));
    }
  }

  int perform(Io* io) {
    MutexLock lock(mutex_);
    Disk& disk = disks_[io->device->info().path];
    const bool off = limited_ && left_ == 0;
    if (limited_ && left_ > 0) left_--;
    if (off) {
      // The last write before the dark may have been on its way.
      if (io->op == IoOp::kWrite && !dark_told_) disk.unflushed.push_back({io->offset, gather(*io)});
      dark_told_ = true;
      return -EIO;
    }
    dark_told_ = false;
    if (fault_ != nullptr) {
      if (const int err = fault_(*io); err != 0) return err;
    }
    if (io->op == IoOp::kFlush) {
      for (const Write& write : disk.unflushed)
        std::memcpy(disk.stable.data() + write.offset, write.bytes.data(), write.bytes.size());
      disk.unflushed.clear();
      disk.flushes++;
      return 0;
    }
    if (io->offset + io->length > disk.cached.size()) return -EIO;
    if (io->op == IoOp::kRead) {
      uint64_t at = io->offset;
      for (unsigned i = 0; i < io->iov_count; i++) {
        std::memcpy(io->iov[i].iov_base, disk.cached.data() + at, io->iov[i].iov_len);
        at += io->iov[i].iov_len;
      }
      return 0;
    }
    Write write{io->offset, io->op == IoOp::kWrite ? gather(*io) : std::vector<uint8_t>(io->length)};
    std::memcpy(disk.cached.data() + write.offset, write.bytes.data(), write.bytes.size());
    disk.written += write.bytes.size();
    disk.unflushed.push_back(std::move(write));
    return 0;
  }

  static std::vector<uint8_t> gather(const Io& io) {
    std::vector<uint8_t> bytes;
    for (unsigned i = 0; i < io.iov_count; i++) {
      const auto* from = static_cast<const uint8_t*>(io.iov[i].iov_base);
      bytes.insert(bytes.end(), from, from + io.iov[i].iov_len);
    }
    return bytes;
  }

  class PowercutQueue final : public IoQueue {
   public:
    explicit PowercutQueue(PowercutDisks& disks) : disks_(disks) {}
    void queue(Io* io) noexcept override { queued_.push_back(io); }
    void submit() noexcept override { work(); }
    unsigned reap(nanos_t deadline) noexcept override {
      if (const unsigned done = work(); done > 0 || deadline <= now_nanos()) return done;
      MutexLock lock(mutex_);
      while (!woken_ && deadline == kNoDeadline) changed_.wait(mutex_);
      woken_ = false;
      return 0;
    }
    void wake() noexcept override {
      MutexLock lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    }
    unsigned in_flight() const noexcept override { return static_cast<unsigned>(queued_.size()); }

   private:
    unsigned work() {
      unsigned done = 0;
      while (!queued_.empty()) {
        // In any order: nothing here may rely on one.
        std::vector<Io*> now;
        now.swap(queued_);
        for (Io* io : now) {
          io->result = disks_.perform(io);
          io->on_complete(io);
          done++;
        }
      }
      return done;
    }
    PowercutDisks& disks_;
    std::vector<Io*> queued_;
    Mutex mutex_;
    CondVar changed_;
    bool woken_ GUARDED_BY(mutex_) = false;
  };

  class PowercutEngine final : public Engine {
   public:
    explicit PowercutEngine(PowercutDisks& disks) : disks_(disks) {}
    const char* name() const noexcept override { return "powercut"; }
    Result<std::unique_ptr<IoQueue>> open_queue(unsigned) override {
      return std::unique_ptr<IoQueue>(new PowercutQueue(disks_));
    }

   private:
    PowercutDisks& disks_;
  };

  Mutex mutex_;
  Random random_ GUARDED_BY(mutex_);
  std::map<std::string, Disk> disks_ GUARDED_BY(mutex_);
  std::map<std::string, Shape> sizes_ GUARDED_BY(mutex_);
  uint64_t left_ GUARDED_BY(mutex_) = 0;
  bool limited_ GUARDED_BY(mutex_) = false;
  bool dark_told_ GUARDED_BY(mutex_) = false;
  int (*fault_)(const Io& io) GUARDED_BY(mutex_) = nullptr;
  const std::shared_ptr<Engine> engine_;
};

}  // namespace dmiofs::test
