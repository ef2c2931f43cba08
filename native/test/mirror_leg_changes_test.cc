// Legs that come to a running set, leave it, or take another one's place.
#include <atomic>
#include <cerrno>
#include <thread>

#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

struct Changing : MirrorFixture {
  std::shared_ptr<FakeStore> store = std::make_shared<FakeStore>();

  explicit Changing(unsigned legs) : MirrorFixture(legs) { options.record_store = store; }

  LegDevice new_device(const std::string& name, sector_t sector = 24, uint64_t bytes = kSetBytes) {
    const std::string path = make_image(name, bytes + bytes_of(sector), 0xee);
    auto device = Device::open(path, DeviceOpen{});
    if (!device.ok()) return LegDevice{path, nullptr, sector};
    return LegDevice{path, device.take(), sector};
  }
  std::string states() {
    std::string text;
    for (const LegInfo& leg : set->snapshot().legs) {
      text += std::string(text.empty() ? "" : " ") + to_string(leg.state);
      if (leg.replaces >= 0) text += ">" + std::to_string(leg.replaces);
    }
    return text;
  }
  std::string stored() {
    std::string text;
    for (const LegRecord& leg : store->stored().legs) {
      text += std::string(text.empty() ? "" : " ") + to_string(leg.state);
      if (leg.replaces >= 0) text += ">" + std::to_string(leg.replaces);
    }
    return text;
  }
  int write_at(uint64_t offset, uint64_t seed_value, size_t size = 5000) {
    const auto data = pattern(size, seed_value);
    return set->write(data.data(), data.size(), offset);
  }
  std::vector<uint8_t> bytes_on(const LegDevice& device) {
    return read_image(device.path, bytes_of(device.sector), kSetBytes);
  }
};

TEST(mirror_leg_changes, a_leg_more_gets_everything_and_every_write) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(70000, 1), 0);
  const LegDevice device = f.new_device("more");
  CHECK_EQ(f.set->add_leg(device, -1), 2);
  CHECK_EQ(f.states(), "in-sync in-sync rebuilding");
  CHECK_EQ(f.stored(), f.states());
  CHECK_EQ(f.set->snapshot().state, SetState::kDegraded);
  CHECK_EQ(f.write_at(200000, 2), 0);
  CHECK(f.recover_all());
  CHECK_EQ(f.states(), "in-sync in-sync in-sync");
  CHECK_EQ(f.write_at(900000, 3), 0);
  CHECK(f.bytes_on(device) == f.leg_bytes(0));
}

TEST(mirror_leg_changes, a_leg_that_cannot_be_one_changes_nothing) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.set->add_leg(f.new_device("small", 0, 4096), -1), -ENOSPC);
  CHECK_EQ(f.set->add_leg(LegDevice{}, -1), -ENODEV);
  CHECK_EQ(f.set->add_leg(f.new_device("other"), 2), -EINVAL);
  CHECK_EQ(f.set->remove_leg(2), -EINVAL);
  CHECK_EQ(f.set->promote_leg(1), -EINVAL);
  f.store->fail(-EIO);
  CHECK_EQ(f.set->add_leg(f.new_device("another"), -1), -EIO);
  CHECK_EQ(f.set->remove_leg(1), -EIO);
  f.store->fail(0);
  CHECK_EQ(f.states(), "in-sync in-sync");
  CHECK(f.recover_all());
  CHECK_EQ(f.write_at(0, 5), 0);
  CHECK(f.legs_equal());
}

TEST(mirror_leg_changes, a_leg_leaves_and_the_others_move_down) {
  Changing f(3);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(0, 1), 0);
  CHECK_EQ(f.set->fail_leg(1), 0);
  const auto before = f.leg_bytes(0);
  CHECK_EQ(f.set->remove_leg(0), 0);
  CHECK_EQ(f.states(), "failed in-sync");
  CHECK_EQ(f.stored(), f.states());
  CHECK_EQ(f.set->snapshot().write_bits, 1u);
  CHECK_EQ(f.set->remove_leg(1), -EBUSY);
  CHECK_EQ(f.write_at(4096, 2), 0);
  CHECK(f.leg_bytes(0) == before);
  CHECK_EQ(f.set->remove_leg(0), 0);
  CHECK_EQ(f.set->remove_leg(0), -EBUSY);
  CHECK_EQ(f.set->snapshot().state, SetState::kComplete);
  CHECK_EQ(f.write_at(8192, 3), 0);
  const auto data = pattern(5000, 3);
  CHECK(read_image(f.images[2], bytes_of(f.starts[2]) + 8192, 5000) == data);
}

TEST(mirror_leg_changes, the_source_does_not_leave_while_legs_may_differ) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.set->add_leg(f.new_device("more"), -1), 2);
  const uint64_t faults[] = {f.fault(0, IoOp::kWrite, FaultAction::kError),
                             f.fault(1, IoOp::kWrite, FaultAction::kError)};
  CHECK_EQ(f.write_at(0, 1), -EIO);
  for (const uint64_t fault : faults) f.rules->remove(fault);
  CHECK_EQ(f.set->remove_leg(0), -EAGAIN);
  CHECK(f.recover_all());
  CHECK_EQ(f.set->remove_leg(0), 0);
}

TEST(mirror_leg_changes, the_old_leg_serves_until_its_replacement_is_in_sync) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(70000, 1), 0);
  const LegDevice device = f.new_device("new");
  CHECK_EQ(f.set->add_leg(device, 0), 2);
  CHECK_EQ(f.states(), "in-sync in-sync rebuilding>0");
  CHECK_EQ(f.stored(), f.states());
  CHECK_EQ(f.set->snapshot().state, SetState::kComplete);
  CHECK_EQ(f.set->promote_leg(2), -EAGAIN);
  CHECK_EQ(f.set->add_leg(f.new_device("third"), 0), -EALREADY);
  CHECK_EQ(f.set->add_leg(f.new_device("fourth"), 2), -EINVAL);
  CHECK_EQ(f.set->remove_leg(0), -EALREADY);
  CHECK_EQ(f.write_at(300000, 2), 0);
  CHECK(f.recover_all());
  CHECK_EQ(f.states(), "in-sync in-sync in-sync>0");
  CHECK_EQ(f.stored(), f.states());
  CHECK_EQ(f.write_at(500000, 3), 0);
  const auto old = f.leg_bytes(0);
  CHECK(old == f.bytes_on(device));
  f.store->fail(-EIO);
  CHECK_EQ(f.set->promote_leg(2), -EIO);
  f.store->fail(0);
  CHECK_EQ(f.states(), "in-sync in-sync in-sync>0");
  CHECK_EQ(f.set->promote_leg(2), 0);
  CHECK_EQ(f.states(), "in-sync in-sync");
  CHECK_EQ(f.stored(), f.states());
  CHECK_EQ(f.set->snapshot().legs[0].device, device.path);
  CHECK_EQ(f.write_at(600000, 4), 0);
  CHECK(f.bytes_on(device) == f.leg_bytes(1));
  CHECK(f.leg_bytes(0) == old);
}

// The case of a single leg: nothing but a replacement that the old one serves beside can move it.
TEST(mirror_leg_changes, a_set_of_one_leg_moves_to_another_device) {
  Changing f(1);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(1000, 1), 0);
  const LegDevice device = f.new_device("new");
  CHECK_EQ(f.set->add_leg(device, 0), 1);
  CHECK_EQ(f.set->remove_leg(0), -EALREADY);
  CHECK(f.recover_all());
  CHECK_EQ(f.set->promote_leg(1), 0);
  CHECK_EQ(f.set->remove_leg(0), -EBUSY);
  CHECK_EQ(f.write_at(2000, 2), 0);
  std::vector<uint8_t> read(5000);
  CHECK_EQ(f.set->read(read.data(), read.size(), 2000), 0);
  CHECK(read == pattern(5000, 2));
}

TEST(mirror_leg_changes, a_replacement_that_fails_leaves_the_old_leg_and_can_be_given_up) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(70000, 1), 0);
  const LegDevice device = f.new_device("new");
  CHECK_EQ(f.set->add_leg(device, 1), 2);
  FaultRule rule;
  rule.device = device.path;
  rule.action = FaultAction::kError;
  f.rules->add(rule);
  CHECK_EQ(f.write_at(80000, 2), 0);
  CHECK_EQ(f.states(), "in-sync in-sync failed>1");
  CHECK_EQ(f.set->snapshot().state, SetState::kComplete);
  CHECK_EQ(f.set->remove_leg(2), 0);
  CHECK_EQ(f.states(), "in-sync in-sync");
  CHECK(f.recover_all());
  CHECK(f.legs_equal());
}

TEST(mirror_leg_changes, two_replacements_at_once_end_each_in_its_place) {
  Changing f(2);
  REQUIRE(f.start());
  CHECK_EQ(f.write_at(70000, 1), 0);
  const LegDevice first = f.new_device("first");
  const LegDevice second = f.new_device("second");
  CHECK_EQ(f.set->add_leg(first, 1), 2);
  CHECK_EQ(f.set->add_leg(second, 0), 3);
  CHECK(f.recover_all());
  CHECK_EQ(f.set->promote_leg(2), 0);
  CHECK_EQ(f.states(), "in-sync in-sync in-sync>0");
  CHECK_EQ(f.set->promote_leg(2), 0);
  CHECK_EQ(f.set->snapshot().legs[0].device, second.path);
  CHECK_EQ(f.set->snapshot().legs[1].device, first.path);
}

TEST(mirror_leg_changes, legs_change_under_readers_and_writers) {
  Changing f(2);
  REQUIRE(f.start());
  std::atomic<bool> stop{false};
  std::vector<std::thread> users;
  for (unsigned user = 0; user < 3; user++) {
    users.emplace_back([&f, &stop, user] {
      Random random(seed() + user);
      std::vector<uint8_t> read(9000);
      while (!stop) {
        const auto data = pattern(1 + random.below(9000), random.next());
        const uint64_t at = random.below(Changing::kSetBytes - 9000);
        CHECK_EQ(f.set->write(data.data(), data.size(), at), 0);
        CHECK_EQ(f.set->read(read.data(), read.size(), random.below(Changing::kSetBytes - 9000)), 0);
      }
    });
  }
  LegDevice newest;
  for (unsigned round = 0; round < 3; round++) {
    newest = f.new_device("round" + std::to_string(round), 8 * round);
    CHECK_EQ(f.set->add_leg(newest, 1), 2);
    CHECK(f.recover_all());
    CHECK_EQ(f.set->promote_leg(2), 0);
    CHECK_EQ(f.set->add_leg(f.new_device("more" + std::to_string(round)), -1), 2);
    CHECK(f.recover_all());
    CHECK_EQ(f.set->remove_leg(2), 0);
  }
  stop = true;
  for (std::thread& user : users) user.join();
  CHECK_EQ(f.states(), "in-sync in-sync");
  CHECK(f.bytes_on(newest) == f.leg_bytes(0));
}

}  // namespace
}  // namespace dmiofs::test
