#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

TEST(mirror_record, a_write_waits_until_the_failed_leg_is_recorded) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  fixture.fault(0, IoOp::kWrite, FaultAction::kError);
  store->block(true);
  std::atomic<unsigned> answered{0};
  const auto data = pattern(4096, 1);
  // The first fails the leg; the second starts when it is out already: neither may be told before that is
  // recorded.
  std::thread first([&] {
    CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
    answered++;
  });
  while (fixture.set->snapshot().legs[0].state != LegState::kFailed) std::this_thread::yield();
  std::thread second([&] {
    CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), 0);
    answered++;
  });
  while (store->waiting() < 2) std::this_thread::yield();
  CHECK_EQ(answered.load(), 0u);
  store->block(false);
  first.join();
  second.join();
  CHECK_EQ(store->stored().legs[0].state, LegState::kFailed);
}

TEST(mirror_record, a_write_that_cannot_be_recorded_is_not_acknowledged) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  fixture.fault(0, IoOp::kWrite, FaultAction::kError);
  store->fail(-ENOSPC);
  const auto data = pattern(4096, 1);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), -EIO);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), -EIO);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(fixture.set->snapshot().log_failed);
  CHECK_EQ(fixture.told(SetEventKind::kLogFailed), 1u);
  store->fail(0);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), 0);
  CHECK(!fixture.set->snapshot().log_failed);
}

TEST(mirror_record, is_recorded_in_use_while_it_runs_and_clean_after_a_stop) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  CHECK(!store->stored().clean);
  const uint64_t generation = store->stored().generation;
  fixture.set->stop();
  CHECK(store->stored().clean);
  CHECK(store->stored().generation > generation);
  std::vector<uint8_t> got(512);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), -ESHUTDOWN);
}

TEST(mirror_record, a_set_whose_record_cannot_be_written_is_read_and_not_written) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  store->fail(-EROFS);
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  const auto data = pattern(4096, 1);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), -EIO);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK(got == std::vector<uint8_t>(4096));  // not a byte of it was sent
  CHECK_EQ(fixture.set->snapshot().legs[0].writes, 0u);
  store->fail(0);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK(!store->stored().clean);
}

TEST(mirror_record, a_failed_log_stops_writes_to_clean_sync_regions_only_and_heals) {
  MirrorFixture fixture(2);
  auto log = std::make_shared<FakeLog>(64);
  fixture.options.log = log;
  REQUIRE(fixture.start());
  const auto data = pattern(4096, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  log->fail(-ENOSPC);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 4096), 0);  // dirty already
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), -EIO);
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, 1u);
  CHECK(fixture.set->snapshot().log_failed);
  CHECK_EQ(fixture.told(SetEventKind::kLogFailed), 1u);
  log->fail(0);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 65536), 0);
  CHECK(!fixture.set->snapshot().log_failed);
  CHECK(log->dirty(0) && log->dirty(1) && !log->dirty(2));
}

TEST(mirror_record, one_write_over_many_sync_regions_marks_the_log_once) {
  MirrorFixture fixture(2);
  auto log = std::make_shared<FakeLog>(64);
  fixture.options.log = log;
  REQUIRE(fixture.start());
  const auto data = pattern(1024 * 1024, 1);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 100), 0);
  CHECK_EQ(log->marks(), 1u);
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, 17u);
}

TEST(mirror_record, read_errors_are_recorded_without_a_write_waiting_for_it) {
  MirrorFixture fixture(2);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  fixture.options.clean_after = 0;
  REQUIRE(fixture.start());
  FaultRule rule;
  rule.device = fixture.images[0];
  rule.ops = 1u << static_cast<unsigned>(IoOp::kRead);
  rule.times = 1;
  fixture.rules->add(rule);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  while (store->stored().legs[0].errors.count[0] == 0) std::this_thread::yield();
  CHECK_EQ(store->stored().legs[0].state, LegState::kInSync);
}

TEST(mirror_record, a_log_without_a_record_is_refused) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fixture.set->stop();
  MirrorSetOptions options = fixture.options;
  options.record_store = std::make_shared<FakeStore>();
  options.record.reset();
  CHECK(!MirrorSet::create(*fixture.dm_io, options).ok());
}

}  // namespace
}  // namespace dmiofs::test
