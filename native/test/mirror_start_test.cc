// What a set starts with: who is trusted, who is not, and when it is refused.
#include <cerrno>

#include "harness.h"
#include "mirror/set_start.h"

namespace dmiofs::test {
namespace {

std::shared_ptr<Device> device_named(const std::string& name) {
  DeviceInfo info;
  info.path = name;
  info.size_bytes = bytes_of(4096);
  info.writable = true;
  info.identity.serial = name;
  info.identity.kind = DeviceKind::kBlock;
  return Device::wrap(UniqueFd(), info);
}

struct Start {
  MirrorSetOptions options;
  SetRecord record;

  explicit Start(unsigned legs) {
    options.name = "s";
    options.count = 2048;
    for (unsigned leg = 0; leg < legs; leg++) {
      options.legs.push_back({"d" + std::to_string(leg), device_named("d" + std::to_string(leg)), leg});
    }
    record = make_record(options);
    record.generation = 41;
  }
  std::string states() {
    auto plan = plan_start(options, record);
    if (!plan.ok()) return "refused: " + plan.error().hint;
    std::string text;
    for (const LegRecord& leg : plan.value().legs)
      text += std::string(text.empty() ? "" : " ") + to_string(leg.state);
    return text + (plan.value().sync_dirty ? ", unclean" : "");
  }
  bool refused_for(const std::string& reason) {
    return states().starts_with("refused") && states().find(reason) != std::string::npos;
  }
};

TEST(set_start, legs_are_as_recorded) {
  Start start(4);
  CHECK_EQ(start.states(), "in-sync in-sync in-sync in-sync");
  start.record.legs[1].state = LegState::kFailed;
  start.record.legs[2].state =
      LegState::kMissing;  // it is there again, and has missed what was written since
  CHECK_EQ(start.states(), "in-sync failed failed in-sync");
  start.record.clean = false;
  CHECK_EQ(start.states(), "in-sync failed failed in-sync, unclean");
  start.record.clean = true;
  start.record.legs[3].state = LegState::kRebuilding;
  CHECK_EQ(start.states(), "in-sync failed failed rebuilding, unclean");
}

TEST(set_start, a_leg_that_cannot_be_opened_is_missing_and_has_left) {
  Start start(2);
  start.options.legs[0].bdev = nullptr;
  CHECK_EQ(start.states(), "missing in-sync");
  auto plan = plan_start(start.options, start.record);
  REQUIRE(plan.ok());
  CHECK_EQ(plan.value().legs[0].left_generation, 42u);
  CHECK_EQ(plan.value().not_trusted.size(), 1u);
}

TEST(set_start, another_device_or_place_is_not_trusted) {
  Start start(3);
  start.options.legs[0].bdev = device_named("another");
  start.options.legs[1].sector += 8;
  CHECK_EQ(start.states(), "failed failed in-sync");
  // The record goes on to name the device that held the data.
  auto plan = plan_start(start.options, start.record);
  REQUIRE(plan.ok());
  CHECK_EQ(plan.value().legs[0].identity.serial, "d0");
}

// The kernel's mirror would copy the stale leg 0 over the good one (K1).
TEST(set_start, a_stale_leg_is_never_the_source) {
  Start start(2);
  start.record.legs[0].state = LegState::kFailed;
  start.record.legs[0].left_generation = 7;
  start.record.clean = false;
  CHECK_EQ(start.states(), "failed in-sync, unclean");
  start.options.legs[1].bdev = nullptr;
  CHECK(start.refused_for("leg 0 (d0) left the set at generation 7"));
  CHECK(start.refused_for("bring the device of the last in-sync leg back"));
}

TEST(set_start, legs_in_another_order_are_told_as_such) {
  Start start(2);
  start.options.legs[0].sector = start.options.legs[1].sector = 0;
  start.record = make_record(start.options);
  std::swap(start.options.legs[0], start.options.legs[1]);
  CHECK(start.refused_for("in another order"));
}

TEST(set_start, the_start_policy_counts_trusted_in_sync_legs) {
  Start start(3);
  start.record.legs[2].state = LegState::kFailed;
  start.options.start = StartPolicy::kMajority;
  CHECK_EQ(start.states(), "in-sync in-sync failed");
  start.options.start = StartPolicy::kAll;
  CHECK(start.refused_for("2 of 3 needed legs"));
  start.record.legs[1].state = LegState::kRebuilding;
  start.options.start = StartPolicy::kMajority;
  CHECK(start.refused_for("1 of 2 needed legs"));
  start.options.start = StartPolicy::kAny;
  CHECK_EQ(start.states(), "in-sync rebuilding failed, unclean");
}

TEST(set_start, a_record_of_another_set_is_refused) {
  Start start(2);
  start.options.count = 1024;
  CHECK(start.refused_for("2048 sectors"));
  Start regions(2);
  regions.options.sync_region_sectors = 64;
  CHECK(regions.refused_for("1024 sectors a sync region"));
}

TEST(set_start, fewer_legs_than_recorded_are_known_by_their_devices) {
  Start start(3);
  start.record.legs[1].state = LegState::kFailed;
  start.options.legs.erase(start.options.legs.begin());
  CHECK_EQ(start.states(), "failed in-sync");
  // A missing one could be any: its place says which, and it is not trusted.
  start.options.legs[0].bdev = nullptr;
  CHECK_EQ(start.states(), "missing in-sync");
  start.options.legs.pop_back();
  CHECK(start.refused_for("0 of 1 needed legs"));
}

TEST(set_start, a_leg_that_the_record_does_not_know_is_not_trusted) {
  Start start(2);
  start.options.legs.push_back({"d9", device_named("d9"), 0});
  CHECK_EQ(start.states(), "in-sync in-sync failed");
  // Not even where another one was.
  std::swap(start.options.legs[0], start.options.legs[2]);
  CHECK_EQ(start.states(), "failed in-sync in-sync");
  auto plan = plan_start(start.options, start.record);
  REQUIRE(plan.ok());
  CHECK(plan.value().legs[0].identity == DeviceIdentity{});
}

// The program can end between any two steps of a replacement: config with it, record with it, in-sync, config
// with the new device only, record with the new device only.
TEST(set_start, a_replacement_goes_on_wherever_it_was_interrupted) {
  Start start(2);
  LegOptions coming{"d9", device_named("d9"), 16};
  coming.replaces = 1;
  start.options.legs.push_back(coming);
  CHECK_EQ(start.states(), "in-sync in-sync failed");  // not in the record yet

  start.record = make_record(start.options);
  start.record.generation = 50;
  start.record.legs[2].state = LegState::kRebuilding;
  CHECK_EQ(start.states(), "in-sync in-sync rebuilding, unclean");
  start.record.legs[2].state = LegState::kInSync;
  CHECK_EQ(start.states(), "in-sync in-sync in-sync");

  // The new device only, in the old one's place: what the replacement holds counts.
  start.options.legs.pop_back();
  coming.replaces = -1;
  start.options.legs[1] = coming;
  start.record.legs[0].state = LegState::kFailed;
  CHECK_EQ(start.states(), "failed in-sync");
  start.record.legs[2].state = LegState::kRebuilding;
  CHECK(start.refused_for("0 of 1 needed legs"));
}

TEST(set_start, an_in_sync_replacement_stands_for_the_leg_in_its_place) {
  Start start(2);
  LegOptions coming{"d9", device_named("d9"), 16};
  coming.replaces = 1;
  start.options.legs.push_back(coming);
  start.options.start = StartPolicy::kAll;
  start.record = make_record(start.options);
  start.record.legs[1].state = LegState::kFailed;
  CHECK_EQ(start.states(), "in-sync failed in-sync");
  start.record.legs[2].state = LegState::kRebuilding;
  CHECK(start.refused_for("1 of 2 needed legs"));
}

TEST(set_start, a_log_that_someone_else_wrote_makes_legs_that_were_out_come_back_whole) {
  Start start(2);
  start.record.legs[1].state = LegState::kFailed;
  start.options.log_distrusted = true;
  CHECK_EQ(start.states(), "in-sync failed, unclean");
  auto plan = plan_start(start.options, start.record);
  REQUIRE(plan.ok());
  CHECK(plan.value().legs[1].identity != start.record.legs[1].identity);
  CHECK(plan.value().legs[0].identity == start.record.legs[0].identity);
}

}  // namespace
}  // namespace dmiofs::test
