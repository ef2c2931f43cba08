// Every I/O that a fixed workload issues, to each leg, the log and the record, goes wrong once: it fails, fails after it was done,
// is torn, is late, fails from then on; the program dies or the power goes at any of them; one after the other. The workload fills, reads,
// flushes and zeroes a set, and changes its legs: one fails and comes back, one is replaced, one is added and removed.
//
// After each: nothing hangs or crashes; what was acknowledged is there after a start from the same legs, log and config; legs that
// claim to be in sync are identical. A case that fails prints the line that repeats it:
//
//     DMIOFS_CASE=log:flush:3:error:die:57 scripts/native-test error_matrix
//
// --rounds-factor=N tries N times as many places; give it a longer --watchdog=SECONDS too. Fewer under sanitizers.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "engine/fault.h"
#include "harness.h"
#include "mirror/disk_log.h"
#include "mirror/mirror_set.h"
#include "mirror/record_store.h"
#include "mirror/set_start.h"
#include "powercut_device.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kSectors = 256;
constexpr uint64_t kSyncRegionSectors = 16;
constexpr LogGeometry kGeometry{kSectors, kSyncRegionSectors, 512};
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kMostPlaces = 5;  // of one kind of I/O on one device
constexpr unsigned kPairs = 150;
constexpr unsigned kEndsStep = 4;  // I/Os from one death to the next
#else
constexpr unsigned kMostPlaces = 30;
constexpr unsigned kPairs = 3000;
constexpr unsigned kEndsStep = 1;
#endif

const std::vector<std::string> kDevices = {"leg0", "leg1", "leg2", "leg3", "log"};
const std::vector<std::string> kOps = {"read", "write", "flush", "discard", "write-zeroes"};
// "broken": it fails from then on.
const std::vector<std::string> kActions = {"error", "error-after", "torn", "delay", "broken"};
const std::vector<std::string> kEnds = {"die", "cut"};

// The `nth` I/O of this kind goes wrong, and the program or the power ends at the `end_at`-th I/O of all.
struct Case {
  std::string device = "any";
  std::string op = "any";
  uint64_t nth = 0;
  std::string action = "none";
  std::string end = "none";
  uint64_t end_at = 0;

  std::string text() const {
    return device + ":" + op + ":" + std::to_string(nth) + ":" + action + ":" + end + ":" +
           std::to_string(end_at);
  }
  bool ends() const { return end != "none"; }
};

uint32_t op_mask(const std::string& op) {
  for (unsigned i = 0; i < kOps.size(); i++) {
    if (kOps[i] == op) return 1u << i;
  }
  return 0x1f;
}

// What one sector may hold: the newest write that must be there, and later ones.
struct SectorModel {
  std::vector<uint64_t> possible{0};
  size_t acknowledged = 0;
};

class Trial {
 public:
  explicit Trial(Case which) : case_(std::move(which)), disks_(7), model_(kSectors) {
    for (const std::string& name : kDevices)
      disks_.add(name, name == "log" ? kGeometry.total_bytes() : bytes_of(kSectors));
    DmIoOptions options;
    options.ready_queues = 1;
    options.small_buffers = 4;
    options.large_buffers = 4;
    dm_io_ = DmIo::create(make_fault_engine(disks_.engine(), rules_), options).take();
    config_ = {{"leg0", -1}, {"leg1", -1}};
  }
  ~Trial() {
    if (set_ != nullptr) set_->stop();
  }

  // How often each kind of I/O happens on each device when nothing goes wrong: "leg0:write" -> 12.
  std::map<std::string, uint64_t> count() {
    std::map<std::string, uint64_t> ids;
    for (const std::string& device : kDevices) {
      for (const std::string& op : kOps) {
        FaultRule rule;
        rule.device = device;
        rule.ops = op_mask(op);
        rule.action = FaultAction::kDelay;
        ids[device + ":" + op] = rules_->add(rule);
      }
    }
    if (start()) work();
    for (auto& [name, id] : ids) id = rules_->hits(id);
    rules_->clear();
    return ids;
  }

  bool run() {
    arm();
    const bool started = start();
    if (started) work();
    if (set_ != nullptr) {
      if (case_.ends()) disks_.power_off_after(0);
      set_->stop();
      set_.reset();
    }
    rules_->clear();
    if (case_.end == "cut")
      disks_.cut();
    else
      disks_.keep();
    if (first_) return true;  // the log itself could not be made: nothing was promised
    if (!start()) return failed("it does not start again");
    return check();
  }

 private:
  struct Placed {
    std::string device;
    int replaces;
  };

  bool failed(const std::string& what) {
    report_failure(__FILE__, __LINE__,
                   what + " " + refusal_ + "; repeat: DMIOFS_CASE=" + case_.text() +
                       " scripts/native-test error_matrix");
    return false;
  }

  void arm() {
    if (case_.ends()) disks_.power_off_after(case_.end_at);
    if (case_.action == "none") return;
    FaultRule rule;
    if (case_.device != "any") rule.device = case_.device;
    rule.ops = op_mask(case_.op);
    rule.skip = case_.nth;
    if (case_.action != "broken") rule.times = 1;
    if (case_.action == "error-after") rule.action = FaultAction::kErrorAfter;
    if (case_.action == "delay") {
      rule.action = FaultAction::kDelay;
      rule.delay_nanos = 3 * kNanosPerMilli;
    }
    if (case_.action == "torn") {
      rule.action = FaultAction::kTorn;
      rule.torn_bytes = 512;
    }
    rules_->add(rule);
  }

  bool start() {
    MirrorSetOptions options;
    options.name = "matrix";
    options.count = kSectors;
    options.sync_region_sectors = kSyncRegionSectors;
    for (const Placed& placed : config_) {
      LegOptions given;
      given.device = placed.device;
      given.bdev = disks_.open(placed.device);
      given.replaces = placed.replaces;
      options.legs.push_back(given);
    }
    DiskLog::Options log_options;
    log_options.geometry = kGeometry;
    log_options.all_clean = first_;
    auto log = DiskLog::open(*dm_io_, disks_.open("log"), log_options);
    auto store = DiskRecordStore::open(*dm_io_, disks_.open("log"), kGeometry, 0, true);
    if (!log.ok() || !store.ok()) {
      refusal_ = "the log cannot be opened";
      return false;
    }
    store.value()->attach(log.value());
    options.log = log.value();
    options.record_store = store.value();
    const SetRecord* record = store.value()->load().record();
    if (record == nullptr && !first_) {
      refusal_ = "no record is left";
      return false;
    }
    options.record = record != nullptr ? *record : make_record(options);
    auto made = MirrorSet::create(*dm_io_, std::move(options));
    refusal_ = made.ok() ? "" : made.error().message();
    if (!made.ok()) return false;
    set_ = made.take();
    // Until the first record is stored nothing but the config says what the set is: init waits for that.
    if (first_ && store.value()->durable_generation() == 0) return true;
    first_ = false;
    return true;
  }

  // ---- the workload ----

  void work() {
    write(0, 40);
    write(37, 3);
    write(100, 1);
    read(30, 20);
    (void)(set_->flush() == 0 && (forget(), true));
    zero(40, 30);
    change([this] { return set_->fail_leg(1); });
    write(60, 5);
    change([this] { return set_->begin_rebuild(1, LegDevice{"leg1", disks_.open("leg1"), 0}, false); });
    write(62, 2);
    recover();
    replace(0, "leg2");
    write(10, 20);
    recover();
    promote();
    add("leg3");
    write(200, 30);
    recover();
    remove(1);
    write(0, 8);
    read(0, kSectors);
    (void)(set_->flush() == 0 && (forget(), true));
    write(250, 6);
    if (!case_.ends()) {
      set_->stop();
      set_.reset();
      if (!start()) return;
      read(0, kSectors);
      write(128, 16);
    }
  }

  template <typename Run>
  void change(Run run) {
    (void)run();
  }

  void write(uint64_t first, uint64_t count) {
    const uint64_t stamp = ++stamp_;
    std::vector<uint8_t> data(bytes_of(count));
    for (uint64_t at = 0; at < count; at++) std::memcpy(data.data() + bytes_of(at), &stamp, sizeof stamp);
    for (uint64_t at = first; at < first + count; at++) model_[at].possible.push_back(stamp);
    const int err = set_->write(data.data(), data.size(), bytes_of(first));
    settle(first, count, err);
  }
  void zero(uint64_t first, uint64_t count) {
    for (uint64_t at = first; at < first + count; at++) model_[at].possible.push_back(0);
    settle(first, count, set_->zero(bytes_of(first), bytes_of(count), true));
  }
  void settle(uint64_t first, uint64_t count, int err) {
    if (err != 0) return;
    first_ = false;  // acknowledged: the record must be there
    for (uint64_t at = first; at < first + count; at++)
      model_[at].acknowledged = model_[at].possible.size() - 1;
    if (case_.end != "cut") forget();
  }
  void forget() {
    for (SectorModel& sector : model_) {
      sector.possible.erase(sector.possible.begin(),
                            sector.possible.begin() + static_cast<std::ptrdiff_t>(sector.acknowledged));
      sector.acknowledged = 0;
    }
  }
  void read(uint64_t first, uint64_t count) {
    std::vector<uint8_t> data(bytes_of(count));
    if (set_->read(data.data(), data.size(), bytes_of(first)) != 0) return;
    for (uint64_t at = 0; at < count; at++) {
      if (!may_hold(first + at, stamp_of(data.data() + bytes_of(at))))
        failed("sector " + std::to_string(first + at) + " is read wrong");
    }
  }
  void recover() {
    for (int64_t at = 0; (at = set_->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++)
      (void)set_->recover_sync_region(static_cast<uint64_t>(at));
  }

  // The config is written before each change of the legs, and put back when that fails, unless the program is dead by then
  // (src/mirror/leg-changes.ts).
  void with_config(std::vector<Placed> next, const std::function<int()>& run) {
    if (disks_.power_is_off()) return;
    const std::vector<Placed> before = std::exchange(config_, std::move(next));
    if (run() < 0 && !disks_.power_is_off()) config_ = before;
  }
  void replace(unsigned leg, const std::string& device) {
    if (config_.size() != 2 || set_->snapshot().legs[leg].state != LegState::kInSync) return;
    std::vector<Placed> next = config_;
    next.push_back({device, static_cast<int>(leg)});
    with_config(std::move(next), [&] {
      return set_->add_leg(LegDevice{device, disks_.open(device), 0}, static_cast<int>(leg));
    });
  }
  void promote() {
    const SetInfo info = set_->snapshot();
    if (config_.size() != 3 || info.legs.size() != 3 || info.legs[2].state != LegState::kInSync) return;
    if (set_->store_record() != 0) return;
    std::vector<Placed> next = config_;
    next[static_cast<size_t>(config_[2].replaces)] = {config_[2].device, -1};
    next.pop_back();
    with_config(std::move(next), [&] { return set_->promote_leg(2); });
  }
  void add(const std::string& device) {
    std::vector<Placed> next = config_;
    if (!next.empty() && next.back().replaces >= 0) return;
    next.push_back({device, -1});
    with_config(std::move(next),
                [&] { return set_->add_leg(LegDevice{device, disks_.open(device), 0}, -1); });
  }
  void remove(unsigned leg) {
    if (config_.size() <= leg || config_.back().replaces >= 0) return;
    std::vector<Placed> next = config_;
    next.erase(next.begin() + leg);
    with_config(std::move(next), [&] { return set_->remove_leg(leg); });
  }

  // ---- what must hold ----

  static uint64_t stamp_of(const uint8_t* sector) {
    uint64_t stamp = 0;
    std::memcpy(&stamp, sector, sizeof stamp);
    return stamp;
  }
  bool may_hold(uint64_t at, uint64_t stamp) const {
    for (const uint64_t possible : model_[at].possible) {
      if (possible == stamp) return true;
    }
    return false;
  }

  bool check() {
    std::vector<uint8_t> before(bytes_of(kSectors));
    if (set_->read(before.data(), before.size(), 0) != 0) return failed("it cannot be read");
    for (uint64_t at = 0; at < kSectors; at++) {
      const uint64_t stamp = stamp_of(before.data() + bytes_of(at));
      if (!may_hold(at, stamp)) {
        return failed("sector " + std::to_string(at) + " holds write " + std::to_string(stamp) + ", not " +
                      std::to_string(model_[at].possible.front()) + " or later");
      }
    }
    for (int64_t at = 0; (at = set_->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++) {
      if (set_->recovery_possible() && set_->recover_sync_region(static_cast<uint64_t>(at)) < 0)
        return failed("no resync");
    }
    std::vector<uint8_t> after(bytes_of(kSectors));
    if (set_->read(after.data(), after.size(), 0) != 0 || after != before) return failed("two reads differ");
    const SetInfo info = set_->snapshot();
    for (const LegInfo& leg : info.legs) {
      if (leg.state == LegState::kInSync && disks_.content(leg.device) != after)
        return failed("the in-sync leg " + leg.device + " differs");
    }
    return true;
  }

  const Case case_;
  bool first_ = true;
  uint64_t stamp_ = 0;
  std::shared_ptr<FaultRules> rules_ = std::make_shared<FaultRules>();
  PowercutDisks disks_;
  std::unique_ptr<DmIo> dm_io_;
  std::vector<SectorModel> model_;
  std::vector<Placed> config_;
  std::shared_ptr<MirrorSet> set_;
  std::string refusal_;
};

// The first ones, the last one, and some between.
std::vector<uint64_t> places(uint64_t count) {
  const uint64_t most = rounds(kMostPlaces);
  std::vector<uint64_t> chosen;
  for (uint64_t i = 0; i < count; i++) {
    if (count <= most || i < most / 2 || i + 1 == count || i % (count / (most / 2) + 1) == 0)
      chosen.push_back(i);
  }
  return chosen;
}

std::optional<Case> asked_for() {
  const char* text = std::getenv("DMIOFS_CASE");
  if (text == nullptr) return std::nullopt;
  std::vector<std::string> words;
  std::stringstream in(text);
  for (std::string word; std::getline(in, word, ':');) words.push_back(word);
  words.resize(6);
  return Case{words[0], words[1], std::strtoull(words[2].c_str(), nullptr, 10),
              words[3], words[4], std::strtoull(words[5].c_str(), nullptr, 10)};
}

std::vector<Case> all_cases() {
  if (const auto one = asked_for(); one.has_value()) return {*one};
  std::vector<Case> cases;
  const std::map<std::string, uint64_t> counts = Trial({}).count();
  uint64_t total = 0;
  for (const std::string& device : kDevices) {
    for (const std::string& op : kOps) {
      const uint64_t count = counts.at(device + ":" + op);
      total += count;
      for (const uint64_t nth : places(count)) {
        for (const std::string& action : kActions) {
          if (action != "torn" || op == "write") cases.push_back({device, op, nth, action});
        }
      }
    }
  }
  const size_t singles = cases.size();
  for (uint64_t at = 0; at < total; at += kEndsStep) {
    for (const std::string& end : kEnds) cases.push_back({"any", "any", 0, "none", end, at});
  }
  // Something goes wrong, and soon after the program or the power ends.
  Random random(seed());
  const std::vector<Case> single(cases.begin(), cases.begin() + static_cast<std::ptrdiff_t>(singles));
  for (unsigned i = 0; i < rounds(kPairs); i++) {
    Case pair = single[random.below(single.size())];
    pair.end = kEnds[random.below(kEnds.size())];
    pair.end_at = random.below(total);
    cases.push_back(pair);
  }
  return cases;
}

TEST(error_matrix, whatever_goes_wrong_nothing_acknowledged_is_lost) {
  unsigned wrong = 0;
  const std::vector<Case> cases = all_cases();
  CHECK(!cases.empty());
  for (const Case& one : cases) {
    if (!Trial(one).run() && ++wrong == 10) break;
  }
}

}  // namespace
}  // namespace dmiofs::test
