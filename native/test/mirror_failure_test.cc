#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "mirror/read_error_limit.h"
#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

TEST(mirror_failure, a_failed_leg_is_out_and_the_caller_sees_nothing) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto before = pattern(8192, 1);
  CHECK_EQ(fixture.set->write(before.data(), before.size(), 0), 0);
  fixture.fault(0, IoOp::kWrite, FaultAction::kError);
  const auto after = pattern(8192, 2);
  CHECK_EQ(fixture.set->write(after.data(), after.size(), 0), 0);
  std::vector<uint8_t> got(8192);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(got == after);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kDegraded);
  CHECK_EQ(info.write_bits, 1u);
  CHECK_EQ(info.legs[0].health, 'D');
  CHECK_EQ(info.legs[0].state, LegState::kFailed);
  CHECK_EQ(info.read_leg, 1);
  CHECK_EQ(fixture.told(SetEventKind::kLegFailed), 1u);
}

TEST(mirror_failure, the_last_leg_is_never_failed) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->fail_leg(0), 0);
  CHECK_EQ(fixture.set->fail_leg(1), -EBUSY);
  fixture.fault(1, IoOp::kWrite, FaultAction::kError);
  fixture.fault(1, IoOp::kRead, FaultAction::kError);
  const auto data = pattern(4096, 1);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), -EIO);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), -EIO);
  CHECK_EQ(fixture.set->snapshot().legs[1].state, LegState::kInSync);
  fixture.rules->clear();
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(got == data);
}

TEST(mirror_failure, a_write_that_fails_everywhere_fails_nobody_and_is_resynced) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  for (unsigned leg = 0; leg < 3; leg++)
    fixture.fault(leg, IoOp::kWrite, leg == 2 ? FaultAction::kErrorAfter : FaultAction::kError);
  const auto data = pattern(4096, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), -EIO);
  fixture.rules->clear();
  SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kComplete);
  CHECK_EQ(info.in_sync_regions, info.sync_regions - 1);
  CHECK(!fixture.legs_equal());
  CHECK(fixture.recover_all());
  CHECK(fixture.legs_equal());
  info = fixture.set->snapshot();
  CHECK_EQ(info.in_sync_regions, info.sync_regions);
}

TEST(mirror_failure, a_failed_read_is_served_by_another_leg_and_repaired) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(16384, 3);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), 0);
  FaultRule rule;
  rule.device = fixture.images[0];
  rule.ops = 1u << static_cast<unsigned>(IoOp::kRead);
  rule.times = 1;
  fixture.rules->add(rule);
  std::vector<uint8_t> got(16384);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 65536), 0);
  CHECK(got == data);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[0].state, LegState::kInSync);
  CHECK_EQ(info.legs[0].repaired_reads, 1u);
  CHECK_EQ(info.read_bits, 1u);
}

TEST(mirror_failure, a_leg_that_cannot_be_repaired_is_out) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK_EQ(fixture.set->snapshot().legs[0].state, LegState::kFailed);
}

TEST(mirror_failure, a_hung_leg_is_out_at_its_deadline) {
  MirrorFixture fixture(2);
  fixture.options.io_timeout = 100 * kNanosPerMilli;
  REQUIRE(fixture.start());
  const uint64_t write_rule = fixture.fault(1, IoOp::kWrite, FaultAction::kHang);
  const auto data = pattern(4096, 4);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[1].state, LegState::kFailed);
  CHECK_EQ(info.legs[1].errors.last_errno, ETIMEDOUT);
  CHECK_EQ(info.late_ios, 1u);
  // Written anew while the late write is still out: what it does to its own leg is nobody's business.
  const auto newer = pattern(4096, 5);
  CHECK_EQ(fixture.set->write(newer.data(), newer.size(), 0), 0);
  fixture.rules->remove(write_rule);
  while (fixture.set->snapshot().late_ios > 0) std::this_thread::yield();
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(got == newer);
}

TEST(mirror_failure, a_hung_reader_is_served_by_another_leg) {
  MirrorFixture fixture(2);
  fixture.options.io_timeout = 100 * kNanosPerMilli;
  REQUIRE(fixture.start());
  const auto data = pattern(100000, 4);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 777), 0);
  fixture.fault(0, IoOp::kRead, FaultAction::kHang);
  std::vector<uint8_t> got(100000);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 777), 0);
  CHECK(got == data);
  CHECK_EQ(fixture.set->snapshot().legs[0].state, LegState::kFailed);
}

TEST(mirror_failure, a_flush_that_fails_takes_the_leg_out) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fixture.fault(1, IoOp::kFlush, FaultAction::kError);
  CHECK_EQ(fixture.set->flush(), 0);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[1].health, 'F');
  CHECK_EQ(info.flush_bits, 2u);
  fixture.fault(0, IoOp::kFlush, FaultAction::kError);
  CHECK_EQ(fixture.set->flush(), -EIO);
}

TEST(mirror_failure, a_flush_that_fails_everywhere_leaves_nothing_trusted_that_was_dirty) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(4096, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  for (unsigned leg = 0; leg < 2; leg++) fixture.fault(leg, IoOp::kFlush, FaultAction::kError);
  CHECK_EQ(fixture.set->flush(), -EIO);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kComplete);
  CHECK_EQ(info.in_sync_regions, info.sync_regions - 1);
  CHECK_EQ(fixture.told(SetEventKind::kSyncNeeded), 1u);
}

// Nothing newer is written where a write that timed out may still land.
TEST(mirror_failure, a_late_write_on_the_last_leg_lands_before_newer_ones) {
  MirrorFixture fixture(1);
  fixture.options.io_timeout = 50 * kNanosPerMilli;
  REQUIRE(fixture.start());
  const uint64_t hang = fixture.fault(0, IoOp::kWrite, FaultAction::kHang);
  const auto older = pattern(8192, 1);
  const auto newer = pattern(8192, 2);
  CHECK_EQ(fixture.set->write(older.data(), older.size(), 0), -EIO);
  CHECK_EQ(fixture.set->snapshot().legs[0].state, LegState::kInSync);
  CHECK_EQ(fixture.set->snapshot().late_ios, 1u);
  CHECK_EQ(fixture.set->write(newer.data(), newer.size(), 0), -EIO);
  CHECK_EQ(fixture.set->snapshot().late_ios, 1u);  // the second was not sent
  fixture.rules->remove(hang);
  int err = -EIO;
  while (err != 0) err = fixture.set->write(newer.data(), newer.size(), 0);
  CHECK_EQ(fixture.set->snapshot().late_ios, 0u);
  CHECK(read_image(fixture.images[0], 0, newer.size()) == newer);
}

TEST(mirror_failure, of_legs_that_all_hang_the_one_that_does_not_recover_is_out) {
  MirrorFixture fixture(2);
  fixture.options.io_timeout = 50 * kNanosPerMilli;
  REQUIRE(fixture.start());
  const uint64_t hang0 = fixture.fault(0, IoOp::kWrite, FaultAction::kHang);
  fixture.fault(1, IoOp::kWrite, FaultAction::kHang);
  const auto older = pattern(4096, 1);
  const auto newer = pattern(4096, 2);
  CHECK_EQ(fixture.set->write(older.data(), older.size(), 0), -EIO);
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  fixture.rules->remove(hang0);
  int err = -EIO;
  while (err != 0) err = fixture.set->write(newer.data(), newer.size(), 0);
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.legs[0].state, LegState::kInSync);
  CHECK_EQ(info.legs[1].state, LegState::kFailed);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(got == newer);
}

TEST(mirror_failure, a_device_that_owes_a_late_write_is_not_taken_back) {
  MirrorFixture fixture(2);
  fixture.options.io_timeout = 50 * kNanosPerMilli;
  REQUIRE(fixture.start());
  const uint64_t hang = fixture.fault(1, IoOp::kWrite, FaultAction::kHang);
  const auto data = pattern(4096, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), -EBUSY);
  fixture.rules->remove(hang);
  while (fixture.set->snapshot().late_ios > 0) std::this_thread::yield();
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), 0);
  CHECK(fixture.recover_all());
  CHECK(fixture.legs_equal());
}

TEST(mirror_failure, a_hung_last_leg_takes_only_a_few_buffers) {
  MirrorFixture fixture(1);
  fixture.options.io_timeout = 5 * kNanosPerMilli;
  REQUIRE(fixture.start());
  fixture.fault(0, IoOp::kRead, FaultAction::kHang);
  std::vector<uint8_t> got(512);
  for (unsigned i = 0; i < 100; i++) CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), -EIO);
  CHECK(fixture.set->snapshot().late_ios <= 8);
}

// Readers that wait for a range hold no buffer that its holder needs.
TEST(mirror_failure, more_threads_than_buffers_on_one_range_come_to_an_end) {
  DmIoOptions few;
  few.small_buffers = 1;
  few.large_buffers = 1;
  MirrorFixture fixture(2, nullptr, MirrorFixture::kSetBytes, few);
  REQUIRE(fixture.start());
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; t++) {
    threads.emplace_back([&fixture, t] {
      std::vector<uint8_t> data(60000, static_cast<uint8_t>(t));
      for (unsigned i = 0; i < 30; i++) {
        const int err = (i + t) % 2 == 0 ? fixture.set->write(data.data(), data.size(), 1000 * t + 77)
                                         : fixture.set->read(data.data(), data.size(), 999 * t);
        CHECK_EQ(err, 0);
        CHECK_EQ(fixture.set->flush(), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(fixture.legs_equal());
}

// A hung device keeps the buffers of the writes that it hangs on; the other writers still get some.
TEST(mirror_failure, more_writers_than_buffers_survive_a_leg_that_hangs) {
  DmIoOptions few;
  few.small_buffers = 2;
  few.large_buffers = 2;
  MirrorFixture fixture(2, nullptr, MirrorFixture::kSetBytes, few);
  fixture.options.io_timeout = 20 * kNanosPerMilli;
  REQUIRE(fixture.start());
  fixture.fault(1, IoOp::kWrite, FaultAction::kHang);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; t++) {
    threads.emplace_back([&fixture, t] {
      const std::vector<uint8_t> data = pattern(65536, t);
      for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(fixture.set->write(data.data(), data.size(), (t * 4 + i) * 65536), 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(fixture.told(SetEventKind::kLegFailed), 1u);
}

// Two writes that each miss another leg: no leg that missed one may be left to answer for it.
TEST(mirror_failure, legs_that_fail_different_writes_at_once_leave_a_leg_that_has_all) {
  for (unsigned round = 0; round < rounds(20); round++) {
    MirrorFixture fixture(2);
    REQUIRE(fixture.start());
    for (unsigned leg = 0; leg < 2; leg++) {
      FaultRule rule;
      rule.device = fixture.images[leg];
      rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
      rule.first_byte = bytes_of(fixture.starts[leg]) + leg * 65536;
      rule.last_byte = rule.first_byte + 4095;
      fixture.rules->add(rule);
    }
    std::array<int, 2> answers{};
    const std::array<std::vector<uint8_t>, 2> data{pattern(4096, 1), pattern(4096, 2)};
    std::thread other([&] { answers[1] = fixture.set->write(data[1].data(), 4096, 65536); });
    answers[0] = fixture.set->write(data[0].data(), 4096, 0);
    other.join();
    std::vector<uint8_t> got(4096);
    for (unsigned i = 0; i < 2; i++) {
      CHECK_EQ(fixture.set->read(got.data(), 4096, i * 65536), 0);
      if (answers[i] == 0) CHECK(got == data[i]);
    }
    CHECK(answers[0] == 0 || answers[1] == 0);
  }
}

TEST(mirror_failure, a_leg_with_too_many_read_errors_is_taken_out_though_each_was_repaired) {
  MirrorFixture fixture(2);
  fixture.options.read_error_limit = 3;
  REQUIRE(fixture.start());
  const auto data = pattern(65536, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  std::vector<uint8_t> read(4096);
  for (unsigned error = 1; error <= 4; error++) {
    FaultRule rule;
    rule.device = fixture.images[0];
    rule.ops = 1u << static_cast<unsigned>(IoOp::kRead);
    rule.action = FaultAction::kError;
    rule.times = 1;
    fixture.rules->add(rule);
    CHECK_EQ(fixture.set->read(read.data(), read.size(), 4096 * error), 0);
    CHECK_EQ(fixture.set->snapshot().legs[0].state, error <= 3 ? LegState::kInSync : LegState::kFailed);
  }
  CHECK(std::equal(read.begin(), read.end(), data.begin() + 4096 * 4));
}

TEST(mirror_failure, read_errors_count_less_with_time) {
  ReadErrorLimit limit;
  const nanos_t hour = ReadErrorLimit::kHalfLife;
  CHECK(!limit.add(0, 2) && !limit.add(0, 2));
  CHECK(!limit.add(hour, 2));
  CHECK(limit.add(hour, 2));
  CHECK(!limit.add(100 * hour, 2));
  CHECK(!ReadErrorLimit().add(0, 0));
}

}  // namespace
}  // namespace dmiofs::test
