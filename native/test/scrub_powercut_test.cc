// The program or the power ends at each I/O of a repair: after the next start, and a further repair, every leg holds what was written,
// whichever of three was wrong.
#include <cstring>

#include "harness.h"
#include "mirror/disk_log.h"
#include "mirror/mirror_set.h"
#include "mirror/record_store.h"
#include "mirror/set_start.h"
#include "powercut_device.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kSectors = 64;
constexpr uint64_t kSyncRegionSectors = 16;
constexpr LogGeometry kGeometry{kSectors, kSyncRegionSectors, 512};
constexpr unsigned kLegs = 3;

std::string leg_name(unsigned leg) { return "leg" + std::to_string(leg); }

class Machine {
 public:
  explicit Machine(uint64_t seed_value) : disks(seed_value) {
    for (unsigned leg = 0; leg < kLegs; leg++) disks.add(leg_name(leg), bytes_of(kSectors));
    disks.add("log", kGeometry.total_bytes());
    DmIoOptions options;
    options.ready_queues = 1;
    options.small_buffers = 4;
    options.large_buffers = 4;
    dm_io_ = DmIo::create(disks.engine(), options).take();
  }
  ~Machine() { stop(); }

  bool start() {
    MirrorSetOptions options;
    options.name = "scrub";
    options.count = kSectors;
    options.sync_region_sectors = kSyncRegionSectors;
    for (unsigned leg = 0; leg < kLegs; leg++) {
      LegOptions given;
      given.device = leg_name(leg);
      given.bdev = disks.open(given.device);
      options.legs.push_back(given);
    }
    DiskLog::Options log_options;
    log_options.geometry = kGeometry;
    log_options.all_clean = first_;
    auto log = DiskLog::open(*dm_io_, disks.open("log"), log_options);
    auto store = DiskRecordStore::open(*dm_io_, disks.open("log"), kGeometry, 0, true);
    if (!log.ok() || !store.ok()) return false;
    store.value()->attach(log.value());
    options.log = log.value();
    options.record_store = store.value();
    const SetRecord* record = store.value()->load().record();
    options.record = record != nullptr ? *record : make_record(options);
    auto made = MirrorSet::create(*dm_io_, std::move(options));
    if (!made.ok()) return false;
    set = made.take();
    first_ = false;
    return true;
  }
  void stop() {
    if (set == nullptr) return;
    set->stop();
    set.reset();
  }
  uint64_t repair() {
    uint64_t found = 0;
    for (uint64_t at = 0; at < kSectors / kSyncRegionSectors; at++) {
      Comparison comparison;
      (void)set->compare_sync_region(at, true, &comparison);
      found += comparison.range_count;
    }
    return found;
  }
  bool recover() {
    for (int64_t at = 0; (at = set->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++) {
      if (set->recover_sync_region(static_cast<uint64_t>(at)) < 0) return false;
    }
    return true;
  }

  PowercutDisks disks;
  std::shared_ptr<MirrorSet> set;

 private:
  bool first_ = true;
  std::unique_ptr<DmIo> dm_io_;
};

// False: the repair was over before the end came.
bool ends_in_a_repair(unsigned wrong, bool power, uint64_t at, uint64_t seed_value) {
  Machine machine(seed_value);
  if (!machine.start()) return false;
  std::vector<uint8_t> data(bytes_of(kSectors));
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<uint8_t>(i / 512 + i);
  CHECK_EQ(machine.set->write(data.data(), data.size(), 0), 0);
  machine.stop();
  for (const uint64_t sector : {0u, 1u, 5u, 15u, 16u, 63u})
    machine.disks.poke(leg_name(wrong), bytes_of(sector) + 7, 0x40);
  CHECK(machine.start());
  machine.disks.power_off_after(at);
  machine.repair();
  const bool hit = machine.disks.power_is_off();
  machine.disks.power_off_after(0);
  machine.stop();
  if (power)
    machine.disks.cut();
  else
    machine.disks.keep();
  CHECK(machine.start());
  CHECK(machine.recover());
  machine.repair();
  const SetInfo info = machine.set->snapshot();
  bool good = info.in_sync_regions == info.sync_regions;
  for (unsigned leg = 0; leg < kLegs; leg++) {
    // One that could not be written when the power went has left.
    if (info.legs[leg].state == LegState::kInSync)
      good = good && machine.disks.content(leg_name(leg)) == data;
    else
      good = good && machine.set->begin_rebuild(leg, std::nullopt, false) == 0 && machine.recover();
  }
  for (unsigned leg = 0; leg < kLegs; leg++) good = good && machine.disks.content(leg_name(leg)) == data;
  good = good && machine.repair() == 0 && machine.set->snapshot().state == SetState::kComplete;
  if (!good) {
    report_failure(__FILE__, __LINE__,
                   "leg " + std::to_string(wrong) + " wrong, " + (power ? "power" : "program") +
                       " off at I/O " + std::to_string(at));
  }
  return hit;
}

TEST(scrub_powercut, a_repair_that_is_cut_off_makes_nothing_wrong) {
  for (unsigned wrong = 0; wrong < kLegs; wrong++) {
    for (const bool power : {false, true}) {
      for (unsigned round = 0; round < (power ? rounds(3) : 1); round++) {
        uint64_t at = 0;
        while (ends_in_a_repair(wrong, power, at, seed() + round)) at++;
        CHECK(at > 20);
      }
    }
  }
}

}  // namespace
}  // namespace dmiofs::test
