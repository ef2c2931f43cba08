#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

TEST(mirror_recovery, a_leg_that_comes_back_gets_only_what_changed) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  const auto before = pattern(MirrorFixture::kSetBytes, 6);
  CHECK_EQ(fixture.set->write(before.data(), before.size(), 0), 0);
  fixture.set->stop();
  fixture.set.reset();
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->fail_leg(2), 0);
  const auto data = pattern(8192, 7);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 100 * 1024), 0);
  CHECK(!fixture.legs_equal());
  CHECK_EQ(fixture.set->begin_rebuild(2, std::nullopt, false), 0);
  SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[2].state, LegState::kRebuilding);
  CHECK_EQ(info.sync_regions - info.in_sync_regions, 1u);
  CHECK(fixture.recover_all());
  CHECK(fixture.legs_equal());
  info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kComplete);
  CHECK_EQ(info.write_bits, 0u);
}

// A leg that missed nothing is neither written nor left out of reads because another one is rebuilt.
TEST(mirror_recovery, a_rebuild_writes_only_what_is_rebuilt) {
  MirrorFixture fixture(3);
  fixture.options.read_policy = ReadPolicy::kRoundRobin;
  REQUIRE(fixture.start());
  const auto before = pattern(MirrorFixture::kSetBytes, 8);
  CHECK_EQ(fixture.set->write(before.data(), before.size(), 0), 0);
  CHECK_EQ(fixture.set->fail_leg(2), 0);
  CHECK_EQ(fixture.set->begin_rebuild(2, std::nullopt, true), 0);
  for (const unsigned leg : {0u, 1u}) fixture.fault(leg, IoOp::kWrite, FaultAction::kError);
  const SetInfo start = fixture.set->snapshot();
  std::vector<uint8_t> read(4096);
  for (unsigned i = 0; i < 10; i++) CHECK_EQ(fixture.set->read(read.data(), read.size(), 8192 * i), 0);
  const SetInfo info = fixture.set->snapshot();
  CHECK(info.legs[0].reads > start.legs[0].reads && info.legs[1].reads > start.legs[1].reads);
  CHECK_EQ(info.legs[2].reads, start.legs[2].reads);
  CHECK(fixture.recover_all());
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  CHECK(fixture.legs_equal());
}

// What nobody is left to copy to is in sync again, and stays dirty for the return of the leg that lacks it.
TEST(mirror_recovery, a_rebuild_whose_leg_left_ends) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->fail_leg(2), 0);
  CHECK_EQ(fixture.set->begin_rebuild(2, std::nullopt, true), 0);
  CHECK_EQ(fixture.set->fail_leg(2), 0);
  CHECK(fixture.recover_all());
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.in_sync_regions, info.sync_regions);
  CHECK_EQ(info.dirty_sync_regions, info.sync_regions);
  const auto data = pattern(4096, 3);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 4096), 0);
  CHECK_EQ(fixture.set->begin_rebuild(2, std::nullopt, false), 0);
  CHECK(fixture.recover_all());
  CHECK(fixture.legs_equal());
}

TEST(mirror_recovery, a_replaced_leg_is_copied_whole_while_it_is_written) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto before = pattern(MirrorFixture::kSetBytes, 8);
  CHECK_EQ(fixture.set->write(before.data(), before.size(), 0), 0);
  CHECK_EQ(fixture.set->fail_leg(0), 0);
  CHECK_EQ(fixture.set->begin_rebuild(0, std::nullopt, true), 0);
  std::atomic<bool> stop{false};
  std::thread writer([&fixture, &stop] {
    Random random(seed());
    while (!stop) {
      const auto data = pattern(1 + random.below(9000), random.next());
      CHECK_EQ(fixture.set->write(data.data(), data.size(), random.below(MirrorFixture::kSetBytes - 9000)),
               0);
    }
  });
  CHECK(fixture.recover_all());
  stop = true;
  writer.join();
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  CHECK(fixture.legs_equal());
}

TEST(mirror_recovery, recovery_never_writes_what_it_could_not_read) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(65536, 9);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, true), 0);
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  CHECK_EQ(fixture.set->recover_sync_region(0), -EIO);
  CHECK(fixture.leg_bytes(1) == fixture.leg_bytes(0));
  CHECK_EQ(fixture.set->snapshot().legs[1].state, LegState::kRebuilding);
}

TEST(mirror_recovery, is_cleaned_lazily_and_not_while_a_leg_is_out) {
  MirrorFixture fixture(2);
  fixture.options.clean_after = 0;
  REQUIRE(fixture.start());
  const auto data = pattern(4096, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, 1u);
  while (fixture.set->snapshot().dirty_sync_regions > 0) std::this_thread::yield();
  CHECK_EQ(fixture.set->fail_leg(0), 0);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  fixture.set->stop();
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, 1u);
}

// Legs 0, 1 and 2 hold 1, 2 and 3 in the first sync region, which is not in sync.
void make_legs_differ(MirrorFixture& fixture) {
  for (unsigned leg = 0; leg < 3; leg++) fixture.fault(leg, IoOp::kWrite, FaultAction::kError);
  const std::vector<uint8_t> lost(4096, 9);
  CHECK_EQ(fixture.set->write(lost.data(), lost.size(), 0), -EIO);
  fixture.rules->clear();
  for (unsigned leg = 0; leg < 3; leg++) {
    UniqueFd fd(::open(fixture.images[leg].c_str(), O_WRONLY | O_CLOEXEC));
    const std::vector<uint8_t> own(4096, static_cast<uint8_t>(leg + 1));
    CHECK_EQ(pwrite(fd.get(), own.data(), own.size(), static_cast<off_t>(bytes_of(fixture.starts[leg]))),
             4096);
  }
}

TEST(mirror_recovery, what_is_not_in_sync_is_read_from_the_source_only) {
  MirrorFixture fixture(3);
  fixture.options.read_policy = ReadPolicy::kRoundRobin;
  REQUIRE(fixture.start());
  make_legs_differ(fixture);
  std::vector<uint8_t> got(4096);
  for (unsigned i = 0; i < 6; i++) {
    CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
    CHECK_EQ(got[0], 1);
  }
  CHECK_EQ(fixture.set->recover_sync_region(0), 0);
  CHECK_EQ(fixture.set->recover_sync_region(0), 1);
  for (unsigned i = 0; i < 6; i++) {
    CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
    CHECK_EQ(got[0], 1);
  }
  CHECK(fixture.legs_equal());
}

TEST(mirror_recovery, a_source_that_leaves_is_followed_by_another_in_sync_leg) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  make_legs_differ(fixture);
  CHECK_EQ(fixture.set->fail_leg(0), 0);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK_EQ(got[0], 2);
  CHECK_EQ(fixture.set->snapshot().read_leg, 1);
  CHECK(fixture.recover_all());
  CHECK(fixture.leg_bytes(1) == fixture.leg_bytes(2));
}

TEST(mirror_recovery, a_rebuilding_leg_is_not_read_where_it_was_not_copied) {
  MirrorFixture fixture(2);
  fixture.options.read_policy = ReadPolicy::kRoundRobin;
  REQUIRE(fixture.start());
  const auto data = pattern(MirrorFixture::kSetBytes, 5);
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, true), 0);
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), -EIO);
  fixture.rules->clear();
  CHECK_EQ(fixture.set->recover_sync_region(0), 0);
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(std::memcmp(got.data(), data.data(), got.size()) == 0);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 65536), -EIO);
}

TEST(mirror_recovery, a_destination_that_fails_is_out_and_nothing_is_in_sync_with_it) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, true), 0);
  fixture.fault(1, IoOp::kWrite, FaultAction::kError);
  CHECK_EQ(fixture.set->recover_sync_region(0), -ENODEV);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[1].state, LegState::kFailed);
  CHECK_EQ(info.legs[1].errors.count[static_cast<unsigned>(LegErrorKind::kSync)], 1u);
  CHECK(!fixture.set->recovery_possible());
}

TEST(mirror_recovery, another_device_is_copied_whole_whatever_was_asked) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(MirrorFixture::kSetBytes, 5);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  const std::string other = make_image("other", MirrorFixture::kSetBytes);
  auto opened = Device::open(other, DeviceOpen{});
  REQUIRE(opened.ok());
  CHECK_EQ(fixture.set->begin_rebuild(1, LegDevice{other, opened.value(), 8}, false), -ENOSPC);
  CHECK_EQ(fixture.set->begin_rebuild(1, LegDevice{other, opened.value(), 0}, false), 0);
  CHECK_EQ(fixture.set->snapshot().in_sync_regions, 0u);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), -EEXIST);
  CHECK(fixture.recover_all());
  CHECK(read_image(other, 0, MirrorFixture::kSetBytes) == data);
  CHECK_EQ(fixture.set->snapshot().legs[1].device, other);
}

TEST(mirror_recovery, a_rebuild_that_cannot_be_recorded_does_not_start) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  store->fail(-EIO);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), -EIO);
  CHECK_EQ(fixture.set->snapshot().legs[1].state, LegState::kFailed);
  store->fail(0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), 0);
}

// Writers, readers, a leg that fails and comes back, its copies: all at once. A reader never sees less than its own writer was told.
TEST(mirror_recovery, legs_that_come_and_go_under_writers_end_equal) {
  MirrorFixture fixture(3);
  fixture.options.log = std::make_shared<FakeLog>(64);
  fixture.options.record_store = std::make_shared<FakeStore>();
  fixture.options.read_policy = ReadPolicy::kRoundRobin;
  fixture.options.clean_after = 0;
  REQUIRE(fixture.start());
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; t++) {
    threads.emplace_back([&fixture, &stop, t] {
      Random random(seed() * 7 + t);
      const uint64_t own = (t + 1) * 700000;  // nobody else writes here
      std::vector<uint8_t> got(3000);
      for (unsigned i = 0; !stop; i++) {
        const std::vector<uint8_t> data(3000, static_cast<uint8_t>(i));
        CHECK_EQ(fixture.set->write(data.data(), data.size(), own), 0);
        CHECK_EQ(fixture.set->read(got.data(), got.size(), own), 0);
        CHECK(got == data);
        CHECK_EQ(fixture.set->write(data.data(), 1 + random.below(3000), random.below(600000)), 0);
        if (i % 16 == 0) CHECK_EQ(fixture.set->flush(), 0);
        if (i % 32 == 0) CHECK_EQ(fixture.set->zero(random.below(500000), 1 + random.below(100000), true), 0);
      }
    });
  }
  Random random(seed());
  for (unsigned turn = 0; turn < rounds(12); turn++) {
    const auto leg = static_cast<unsigned>(random.below(3));
    if (random.chance(50)) {
      CHECK_EQ(fixture.set->fail_leg(leg), 0);
    } else {
      FaultRule rule;
      rule.device = fixture.images[leg];
      rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
      rule.times = 1;
      fixture.rules->add(rule);
      while (fixture.set->snapshot().legs[leg].state != LegState::kFailed) std::this_thread::yield();
    }
    CHECK_EQ(fixture.set->begin_rebuild(leg, std::nullopt, random.chance(30)), 0);
    std::thread second([&fixture] { CHECK(fixture.recover_all()); });
    CHECK(fixture.recover_all());
    second.join();
    CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(fixture.legs_equal());
}

}  // namespace
}  // namespace dmiofs::test
