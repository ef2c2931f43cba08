// A mirror set over image files, with the fault engine, for the native tests.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "dmio/dm_io.h"
#include "engine/fault.h"
#include "mirror/mirror_set.h"
#include "mirror/set_start.h"
#include "test/harness.h"

namespace dmiofs::test {

inline std::string make_image(const std::string& name, uint64_t bytes, uint8_t fill = 0) {
  const std::string path = temp_dir() + "/" + name;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fill == 0) {
    (void)!ftruncate(fd.get(), static_cast<off_t>(bytes));
  } else {
    const std::vector<uint8_t> block(bytes, fill);
    (void)!pwrite(fd.get(), block.data(), bytes, 0);
  }
  return path;
}

inline std::vector<uint8_t> read_image(const std::string& path, uint64_t offset, uint64_t bytes) {
  std::vector<uint8_t> data(bytes);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  (void)!pread(fd.get(), data.data(), bytes, static_cast<off_t>(offset));
  return data;
}

inline std::vector<uint8_t> pattern(size_t size, uint64_t seed_value) {
  Random random(seed_value);
  std::vector<uint8_t> data(size);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random.next());
  return data;
}

struct MirrorFixture {
  static constexpr uint64_t kSetBytes = 4 * 1024 * 1024;

  std::shared_ptr<FaultRules> rules = std::make_shared<FaultRules>();
  std::unique_ptr<DmIo> dm_io;
  std::vector<std::string> images;
  std::vector<sector_t> starts;
  std::vector<SetEvent> events;
  std::shared_ptr<MirrorSet> set;
  MirrorSetOptions options;
  Error refusal;  // of the last start()

  explicit MirrorFixture(unsigned legs, std::shared_ptr<Engine> inner = nullptr,
                         uint64_t set_bytes = kSetBytes, DmIoOptions io = {}) {
    if (inner == nullptr) inner = make_engine(EngineKind::kAuto).value().engine;
    io.max_run_bytes = 128 * 1024;
    dm_io = DmIo::create(make_fault_engine(inner, rules), io).take();
    options.name = "test";
    options.count = sectors_of(set_bytes);
    options.sync_region_sectors = 128;  // 64 KiB
    options.on_event = [this](const SetEvent& event) {
      MutexLock lock(mutex);
      events.push_back(event);
    };
    for (unsigned index = 0; index < legs; index++) {
      starts.push_back(index * 8);  // a different place on each leg
      images.push_back(make_image("leg" + std::to_string(index), set_bytes + bytes_of(starts[index])));
    }
  }
  ~MirrorFixture() {
    rules->clear();
    if (set != nullptr) set->stop();
  }

  std::shared_ptr<Device> open_leg(unsigned index) {
    auto device = Device::open(images[index], DeviceOpen{});
    return device.ok() ? device.take() : nullptr;
  }
  bool start() {
    options.legs.clear();
    for (unsigned index = 0; index < images.size(); index++) {
      LegOptions leg;
      leg.device = images[index];
      leg.bdev = open_leg(index);
      leg.sector = starts[index];
      options.legs.push_back(leg);
    }
    if (options.record_store != nullptr && !options.record.has_value()) options.record = make_record(options);
    auto made = MirrorSet::create(*dm_io, options);
    if (made.ok())
      set = made.take();
    else
      refusal = made.error();
    return set != nullptr;
  }
  std::vector<uint8_t> leg_bytes(unsigned index) {
    return read_image(images[index], bytes_of(starts[index]), bytes_of(options.count));
  }
  bool legs_equal() {
    for (unsigned index = 1; index < images.size(); index++) {
      if (leg_bytes(index) != leg_bytes(0)) return false;
    }
    return true;
  }
  uint64_t fault(unsigned leg, IoOp op, FaultAction action, int error = EIO) {
    FaultRule rule;
    rule.device = images[leg];
    rule.ops = 1u << static_cast<unsigned>(op);
    rule.action = action;
    rule.error = error;
    return rules->add(rule);
  }
  unsigned told(SetEventKind kind) {
    MutexLock lock(mutex);
    unsigned count = 0;
    for (const SetEvent& event : events) count += event.kind == kind ? 1 : 0;
    return count;
  }
  bool recover_all() {
    for (int64_t at = 0; (at = set->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++) {
      if (set->recover_sync_region(static_cast<uint64_t>(at)) < 0) return false;
    }
    return true;
  }

  Mutex mutex;
};

}  // namespace dmiofs::test
