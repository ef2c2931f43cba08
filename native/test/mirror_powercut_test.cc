// A whole mirror set, with its log and record, under power cuts and sudden deaths of the program: at any Io, with legs that fail, leave,
// come back and are rebuilt in between, hundreds of times by seed.
//
// What must hold after each restart
// - a sector holds the last write that was acknowledged (after a cut: acknowledged before an fsync that succeeded), or a later one that was not;
// - what is read once is read again, before, during and after the resync;
// - after the resync every leg in use holds the same.
#include <cerrno>
#include <chrono>
#include <thread>

#include "engine/fault.h"
#include "harness.h"
#include "mirror/disk_log.h"
#include "mirror/mirror_set.h"
#include "mirror/record_store.h"
#include "mirror/set_start.h"
#include "powercut_device.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kSectors = 512;
constexpr uint64_t kSyncRegionSectors = 16;
constexpr unsigned kLegs = 3;
constexpr LogGeometry kGeometry{kSectors, kSyncRegionSectors, 512};

std::string leg_name(unsigned leg) { return "leg" + std::to_string(leg); }

// What one sector may hold: the writes since the last one that is safe, with it.
struct SectorModel {
  std::vector<uint64_t> possible{0};
  size_t acknowledged = 0;  // index of the newest acknowledged write
};

class Lives {
 public:
  explicit Lives(uint64_t seed_value, bool power_cut)
      : random_(seed_value), power_cut_(power_cut), disks_(seed_value * 7 + 1), model_(kSectors) {
    for (unsigned leg = 0; leg < kLegs; leg++) disks_.add(leg_name(leg), bytes_of(kSectors + leg));
    disks_.add("log", kGeometry.total_bytes());
    DmIoOptions options;
    options.ready_queues = 1;
    options.small_buffers = 4;
    options.large_buffers = 4;
    dm_io_ = DmIo::create(make_fault_engine(disks_.engine(), rules_), options).take();
  }

  bool live() {
    const bool without_a_leg = !first_ && random_.chance(15);
    if (!start(without_a_leg ? static_cast<int>(random_.below(kLegs)) : -1)) {
      if (!without_a_leg) return failed("it does not start");
      if (!start(-1)) return failed("it does not start with all legs");
    }
    if (!check()) return false;
    disks_.power_off_after(20 + random_.below(400));
    for (unsigned step = 0; step < 60; step++) act();
    if (random_.chance(20)) set_->stop();
    // The program dies: nothing of it is done any more, not even a stop.
    disks_.power_off_after(0);
    set_->stop();
    set_.reset();
    rules_->clear();
    if (power_cut_) {
      disks_.cut();
    } else {
      disks_.keep();
    }
    return true;
  }

 private:
  bool failed(const std::string& what) {
    report_failure(__FILE__, __LINE__, what + ": " + refusal_);
    return false;
  }

  bool start(int missing) {
    MirrorSetOptions options;
    options.name = "lives";
    options.count = kSectors;
    options.sync_region_sectors = kSyncRegionSectors;
    options.clean_after = 0;
    for (unsigned leg = 0; leg < kLegs; leg++) {
      LegOptions given;
      given.device = leg_name(leg);
      if (missing != static_cast<int>(leg)) given.bdev = disks_.open(leg_name(leg));
      given.sector = leg;
      options.legs.push_back(given);
    }
    DiskLog::Options log_options;
    log_options.geometry = kGeometry;
    log_options.all_clean = first_;
    auto log = DiskLog::open(*dm_io_, disks_.open("log"), log_options);
    auto store = DiskRecordStore::open(*dm_io_, disks_.open("log"), kGeometry, 0, true);
    if (!log.ok() || !store.ok()) return failed("the log cannot be opened");
    store.value()->attach(log.value());
    options.log = log.value();
    options.record_store = store.value();
    const SetRecord* record = store.value()->load().record();
    if (record == nullptr && !first_) return failed("no record is left");
    options.record = record != nullptr ? *record : make_record(options);
    first_ = false;
    auto made = MirrorSet::create(*dm_io_, std::move(options));
    refusal_ = made.ok() ? "" : made.error().message();
    if (made.ok()) set_ = made.take();
    return made.ok();
  }

  uint64_t stamp_at(const uint8_t* sector) {
    uint64_t stamp = 0;
    std::memcpy(&stamp, sector, sizeof stamp);
    return stamp;
  }

  bool read_all(std::vector<uint64_t>* stamps) {
    std::vector<uint8_t> data(bytes_of(kSectors));
    if (set_->read(data.data(), data.size(), 0) != 0) return failed("it cannot be read");
    for (uint64_t at = 0; at < kSectors; at++) stamps->push_back(stamp_at(data.data() + bytes_of(at)));
    return true;
  }

  bool check() {
    std::vector<uint64_t> before;
    if (!read_all(&before)) return false;
    for (uint64_t at = 0; at < kSectors; at++) {
      SectorModel& sector = model_[at];
      bool possible = false;
      for (const uint64_t stamp : sector.possible) possible = possible || stamp == before[at];
      if (!possible) {
        return failed("sector " + std::to_string(at) + " holds write " + std::to_string(before[at]) +
                      ", not " + std::to_string(sector.possible.front()) + " or later");
      }
      sector = SectorModel{};
      sector.possible = {before[at]};
    }
    // Legs that are out stay out here, or come back and are copied.
    for (unsigned leg = 0; leg < kLegs; leg++) {
      if (random_.chance(60))
        (void)set_->begin_rebuild(leg, LegDevice{leg_name(leg), disks_.open(leg_name(leg)), leg}, false);
    }
    for (int64_t at = 0; (at = set_->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++) {
      if (set_->recovery_possible() && set_->recover_sync_region(static_cast<uint64_t>(at)) < 0)
        return failed("no resync");
    }
    std::vector<uint64_t> after;
    if (!read_all(&after)) return false;
    if (after != before) return failed("two reads differ");
    return legs_agree(after);
  }

  bool legs_agree(const std::vector<uint64_t>& stamps) {
    const SetInfo info = set_->snapshot();
    for (unsigned leg = 0; leg < kLegs; leg++) {
      if (info.legs[leg].state != LegState::kInSync) continue;
      const std::vector<uint8_t> content = disks_.content(leg_name(leg));
      for (uint64_t at = 0; at < kSectors; at++) {
        if (stamp_at(content.data() + bytes_of(at + leg)) != stamps[at]) {
          return failed("leg " + std::to_string(leg) + " differs at sector " + std::to_string(at));
        }
      }
    }
    return true;
  }

  void act() {
    const uint64_t kind = random_.below(100);
    const auto leg = static_cast<unsigned>(random_.below(kLegs));
    if (kind < 60) {
      write();
    } else if (kind < 70) {
      flush();
    } else if (kind < 75) {
      std::vector<uint8_t> data(bytes_of(20));
      (void)set_->read(data.data(), data.size(), bytes_of(random_.below(kSectors - 20)));
    } else if (kind < 79) {
      (void)set_->fail_leg(leg);
    } else if (kind < 84) {
      (void)set_->begin_rebuild(leg, LegDevice{leg_name(leg), disks_.open(leg_name(leg)), leg},
                                random_.chance(20));
    } else if (kind < 85) {
      // The log is cleaned now and then.
      const bool may_clean = set_->snapshot().state == SetState::kComplete;
      for (unsigned i = 0; may_clean && i < 20 && set_->snapshot().dirty_sync_regions > 0; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    } else if (kind < 94) {
      const int64_t at = set_->next_not_in_sync(random_.below(kSectors / kSyncRegionSectors));
      if (at >= 0) (void)set_->recover_sync_region(static_cast<uint64_t>(at));
    } else {
      FaultRule rule;
      rule.device = leg_name(leg);
      rule.ops = 1u << random_.below(3);  // read, write or flush
      rule.times = 1;
      if (random_.chance(30)) rule.action = FaultAction::kErrorAfter;
      rules_->add(rule);
    }
  }

  void write() {
    const uint64_t count = 1 + random_.below(random_.chance(80) ? 4 : 40);
    const uint64_t first = random_.below(kSectors - count + 1);
    const uint64_t stamp = ++stamp_;
    std::vector<uint8_t> data(bytes_of(count));
    for (uint64_t at = 0; at < count; at++) std::memcpy(data.data() + bytes_of(at), &stamp, sizeof stamp);
    for (uint64_t at = first; at < first + count; at++) model_[at].possible.push_back(stamp);
    if (set_->write(data.data(), data.size(), bytes_of(first)) != 0) return;
    for (uint64_t at = first; at < first + count; at++) acknowledge(&model_[at]);
    if (random_.chance(2)) disks_.power_off_after(0);  // what was acknowledged is safe from here on
  }

  void acknowledge(SectorModel* sector) {
    sector->acknowledged = sector->possible.size() - 1;
    if (!power_cut_) forget_older(sector);
  }

  void flush() {
    if (set_->flush() != 0) return;
    for (SectorModel& sector : model_) forget_older(&sector);
  }

  static void forget_older(SectorModel* sector) {
    sector->possible.erase(sector->possible.begin(),
                           sector->possible.begin() + static_cast<std::ptrdiff_t>(sector->acknowledged));
    sector->acknowledged = 0;
  }

  Random random_;
  const bool power_cut_;
  bool first_ = true;
  uint64_t stamp_ = 0;
  std::shared_ptr<FaultRules> rules_ = std::make_shared<FaultRules>();
  PowercutDisks disks_;
  std::unique_ptr<DmIo> dm_io_;
  std::vector<SectorModel> model_;
  std::shared_ptr<MirrorSet> set_;
  std::string refusal_;
};

void many_lives(bool power_cut) {
  for (unsigned round = 0; round < rounds(60); round++) {
    Lives lives(seed() * 1000 + round, power_cut);
    for (unsigned life = 0; life < 6; life++) {
      if (!lives.live()) {
        report_failure(__FILE__, __LINE__,
                       "in round " + std::to_string(round) + ", life " + std::to_string(life));
        return;
      }
    }
  }
}

TEST(mirror_powercut, loses_nothing_that_was_synced_when_the_power_goes) { many_lives(true); }
TEST(mirror_powercut, loses_nothing_that_was_acknowledged_when_the_program_dies) { many_lives(false); }

}  // namespace
}  // namespace dmiofs::test
