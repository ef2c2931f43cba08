// All at once: readers and writers of the same blocks, a resync, a scrub, legs that fail, come back, are replaced, added and removed. What the
// readers saw can be put in one order, and in the end the legs are equal. Under TSan this is where everything meets everything.
#include <atomic>
#include <cstring>
#include <thread>

#include "mirror/comparison.h"
#include "test/history.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kBlock = 4096;
constexpr unsigned kRegisters = 3;

Operation op(bool write, uint64_t value, nanos_t began, nanos_t ended) {
  return {write, value, began, ended};
}

TEST(history, tells_what_can_be_put_in_one_order) {
  CHECK_EQ(why_not_linearizable({op(true, 1, 1, 4), op(false, 0, 2, 3), op(false, 1, 2, 5)}, 0), "");
  CHECK_EQ(
      why_not_linearizable({op(true, 1, 1, 9), op(true, 2, 1, 9), op(false, 2, 2, 3), op(false, 1, 4, 5)}, 0),
      "");
  // A write that failed may be seen later, or never.
  CHECK_EQ(why_not_linearizable({op(true, 1, 1, kNever), op(false, 0, 5, 6), op(false, 1, 7, 8)}, 0), "");
  // Stale: 1 was there, and then 0 again.
  CHECK(!why_not_linearizable({op(true, 1, 1, 2), op(false, 0, 3, 4)}, 0).empty());
  // There and back: 1, 2, 1.
  CHECK(!why_not_linearizable({op(true, 1, 1, 2), op(true, 2, 3, 4), op(false, 1, 5, 6)}, 0).empty());
  CHECK(!why_not_linearizable({op(true, 1, 1, 9), op(true, 2, 1, 9), op(false, 1, 2, 3), op(false, 2, 4, 5),
                               op(false, 1, 6, 7)},
                              0)
             .empty());
  CHECK(!why_not_linearizable({op(false, 7, 1, 2)}, 0).empty());
  CHECK(!why_not_linearizable({op(false, 1, 1, 2), op(true, 1, 3, 4)}, 0).empty());
}

struct Everything : MirrorFixture {
  std::atomic<bool> over{false};
  std::atomic<uint64_t> next_value{0};
  Mutex logs_mutex;
  std::vector<Operation> logs[kRegisters] GUARDED_BY(logs_mutex);

  Everything() : MirrorFixture(2, nullptr, 256 * 1024) {
    options.read_policy = ReadPolicy::kRoundRobin;
    options.clean_after = 0;
  }

  void use(uint64_t seed_value) {
    Random random(seed_value);
    std::vector<Operation> mine[kRegisters];
    std::vector<uint8_t> block(kBlock);
    while (!over) {
      const auto at = static_cast<unsigned>(random.below(kRegisters));
      const uint64_t offset = at * 5 * kBlock;
      Operation one;
      one.write = random.chance(40);
      if (one.write) {
        one.value = ++next_value;
        for (size_t i = 0; i < kBlock; i += 8) std::memcpy(block.data() + i, &one.value, 8);
      }
      one.began = now_nanos();
      const int err =
          one.write ? set->write(block.data(), kBlock, offset) : set->read(block.data(), kBlock, offset);
      one.ended = now_nanos();
      if (!one.write) {
        if (err != 0) continue;
        std::memcpy(&one.value, block.data(), 8);
        for (size_t i = 0; i < kBlock; i += 8) {
          if (std::memcmp(block.data() + i, &one.value, 8) != 0) {
            CHECK(!"a read saw half a write");
            break;
          }
        }
      } else if (err != 0) {
        one.ended = kNever;
      }
      mine[at].push_back(one);
    }
    MutexLock lock(logs_mutex);
    for (unsigned at = 0; at < kRegisters; at++)
      logs[at].insert(logs[at].end(), mine[at].begin(), mine[at].end());
  }

  LegDevice device(unsigned number) {
    const std::string path = make_image("more" + std::to_string(number), bytes_of(options.count), 0xee);
    auto opened = Device::open(path, DeviceOpen{});
    return LegDevice{path, opened.ok() ? opened.take() : nullptr, 0};
  }

  void change(uint64_t seed_value) {
    Random random(seed_value);
    for (unsigned step = 0; step < rounds(60); step++) {
      const auto legs = static_cast<unsigned>(set->snapshot().legs.size());
      const auto leg = static_cast<unsigned>(random.below(legs));
      switch (random.below(7)) {
        case 0: (void)set->fail_leg(leg); break;
        case 1: (void)set->begin_rebuild(leg, std::nullopt, random.chance(30)); break;
        case 2:
          if (legs < 4) (void)set->add_leg(device(step), random.chance(50) ? static_cast<int>(leg) : -1);
          break;
        case 3:
          if (legs > 2) (void)set->remove_leg(leg);
          break;
        case 4: (void)set->promote_leg(leg); break;
        case 5: (void)set->clear_errors(-1); break;
        default: {
          FaultRule rule;
          rule.device = set->snapshot().legs[leg].device;
          rule.times = 1;
          rule.action = random.chance(50) ? FaultAction::kError : FaultAction::kErrorAfter;
          rules->add(rule);
        }
      }
      (void)recover_all();
    }
  }

  void copy() {
    while (!over) {
      (void)recover_all();
      (void)set->flush();
      Comparison found;
      for (uint64_t at = 0; at < 4 && !over; at++) (void)set->compare_sync_region(at, at % 2 == 1, &found);
    }
  }
};

TEST(mirror_linearizable, everything_at_once) {
  Everything all;
  REQUIRE(all.start());
  std::vector<std::thread> threads;
  for (unsigned user = 0; user < 4; user++)
    threads.emplace_back([&all, user] { all.use(seed() * 100 + user); });
  threads.emplace_back([&all] { all.copy(); });
  all.change(seed() * 31 + 7);
  all.over = true;
  for (std::thread& thread : threads) thread.join();
  all.rules->clear();
  for (unsigned at = 0; at < kRegisters; at++) {
    MutexLock lock(all.logs_mutex);
    CHECK(all.logs[at].size() > 10);
    CHECK_EQ(why_not_linearizable(all.logs[at], 0), "");
  }
  // Everybody back: equal.
  const auto legs = static_cast<unsigned>(all.set->snapshot().legs.size());
  for (unsigned leg = 0; leg < legs; leg++) (void)all.set->begin_rebuild(leg, std::nullopt, false);
  CHECK(all.recover_all());
  const SetInfo info = all.set->snapshot();
  const std::vector<uint8_t> first =
      read_image(info.legs[0].device, bytes_of(info.legs[0].sector), bytes_of(all.options.count));
  for (const LegInfo& leg : info.legs) {
    CHECK_EQ(leg.state, LegState::kInSync);
    CHECK(read_image(leg.device, bytes_of(leg.sector), bytes_of(all.options.count)) == first);
  }
}

}  // namespace
}  // namespace dmiofs::test
