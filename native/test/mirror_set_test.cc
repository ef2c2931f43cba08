#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

std::vector<uint8_t> pattern(size_t size, uint64_t seed_value) {
  Random random(seed_value);
  std::vector<uint8_t> data(size);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random.next());
  return data;
}

// Random writes, reads and zeroings of any alignment against a copy in memory.
void compare_with_model(MirrorFixture& fixture, unsigned steps, uint64_t seed_value) {
  Random random(seed_value);
  const uint64_t size = fixture.set->size_bytes();
  std::vector<uint8_t> model(size);
  for (unsigned step = 0; step < steps; step++) {
    const uint64_t offset = random.chance(50) ? random.below(size) : random.below(size / 4096) * 4096;
    const uint64_t length =
        std::min<uint64_t>(size - offset, random.chance(80) ? 1 + random.below(20000) : random.below(700000));
    const uint64_t kind = random.below(10);
    if (kind < 5) {
      const auto data = pattern(length, random.next());
      CHECK_EQ(fixture.set->write(data.data(), length, offset), 0);
      std::memcpy(model.data() + offset, data.data(), length);
    } else if (kind < 6) {
      CHECK_EQ(fixture.set->zero(offset, length, random.chance(50)), 0);
      std::memset(model.data() + offset, 0, length);
    } else {
      std::vector<uint8_t> data(length);
      CHECK_EQ(fixture.set->read(data.data(), length, offset), 0);
      CHECK(std::memcmp(data.data(), model.data() + offset, length) == 0);
    }
  }
  for (unsigned index = 0; index < fixture.images.size(); index++) CHECK(fixture.leg_bytes(index) == model);
}

TEST(mirror_set, agrees_with_a_model_on_every_engine) {
  for (const bool threads : {false, true}) {
    MirrorFixture fixture(3, threads ? make_threads_engine() : nullptr);
    REQUIRE(fixture.start());
    compare_with_model(fixture, 150, seed() + threads);
  }
}

TEST(mirror_set, agrees_with_a_model_by_every_read_policy) {
  for (const ReadPolicy policy : {ReadPolicy::kPrimary, ReadPolicy::kRoundRobin, ReadPolicy::kFastest}) {
    MirrorFixture fixture(2);
    fixture.options.read_policy = policy;
    REQUIRE(fixture.start());
    compare_with_model(fixture, 100, seed() + 7);
  }
}

TEST(mirror_set, takes_1_to_64_legs) {
  for (const unsigned legs : {1u, 2u, 8u, 64u}) {
    MirrorFixture fixture(legs, nullptr, 256 * 1024);
    REQUIRE(fixture.start());
    compare_with_model(fixture, 30, seed());
  }
}

TEST(mirror_set, overlapping_writers_leave_legs_equal) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  // Different delays on each leg, so that legs would see the writes in different orders.
  for (unsigned leg = 0; leg < 3; leg++) {
    FaultRule rule;
    rule.device = fixture.images[leg];
    rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
    rule.action = FaultAction::kDelay;
    rule.delay_nanos = (leg + 1) * kNanosPerMilli / 4;
    rule.chance_per_million = 300'000;
    rule.seed = seed() + leg;
    fixture.rules->add(rule);
  }
  std::vector<std::thread> writers;
  for (unsigned writer = 0; writer < 8; writer++) {
    writers.emplace_back([&fixture, writer] {
      Random random(seed() * 100 + writer);
      for (unsigned i = 0; i < 60; i++) {
        const uint64_t offset = random.below(60 * 1024);
        const auto data =
            std::vector<uint8_t>(1 + random.below(5000), static_cast<uint8_t>(writer * 16 + i % 16));
        CHECK_EQ(fixture.set->write(data.data(), data.size(), offset), 0);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(fixture.legs_equal());
}

TEST(mirror_set, a_failed_leg_is_out_and_the_caller_sees_nothing) {
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

TEST(mirror_set, the_last_leg_is_never_failed) {
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

TEST(mirror_set, a_write_that_fails_everywhere_fails_nobody_and_is_resynced) {
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

TEST(mirror_set, a_failed_read_is_served_by_another_leg_and_repaired) {
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

TEST(mirror_set, a_leg_that_cannot_be_repaired_is_out) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  std::vector<uint8_t> got(4096);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
  CHECK_EQ(fixture.set->snapshot().legs[0].state, LegState::kFailed);
}

TEST(mirror_set, a_hung_leg_is_out_at_its_deadline) {
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

TEST(mirror_set, a_hung_reader_is_served_by_another_leg) {
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

TEST(mirror_set, a_leg_that_comes_back_gets_only_what_changed) {
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

TEST(mirror_set, a_replaced_leg_is_copied_whole_while_it_is_written) {
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

TEST(mirror_set, recovery_never_writes_what_it_could_not_read) {
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

class FakeStore final : public SetRecordStore {
 public:
  int store(const SetRecord& record) noexcept override {
    MutexLock lock(mutex);
    while (blocked) changed.wait(mutex);
    if (err != 0) return err;
    newest = record;
    return 0;
  }
  void block(bool on) {
    MutexLock lock(mutex);
    blocked = on;
    changed.notify_all();
  }
  void fail(int with) {
    MutexLock lock(mutex);
    err = with;
  }
  SetRecord stored() {
    MutexLock lock(mutex);
    return newest;
  }

 private:
  Mutex mutex;
  CondVar changed;
  bool blocked = false;
  int err = 0;
  SetRecord newest;
};

TEST(mirror_set, a_write_waits_until_the_failed_leg_is_recorded) {
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
  while (fixture.set->snapshot().legs[1].writes < 2) std::this_thread::yield();
  CHECK_EQ(answered.load(), 0u);
  store->block(false);
  first.join();
  second.join();
  CHECK_EQ(store->stored().legs[0].state, LegState::kFailed);
}

TEST(mirror_set, a_write_that_cannot_be_recorded_is_not_acknowledged) {
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

TEST(mirror_set, is_recorded_in_use_while_it_runs_and_clean_after_a_stop) {
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

TEST(mirror_set, a_flush_that_fails_takes_the_leg_out) {
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

TEST(mirror_set, is_cleaned_lazily_and_not_while_a_leg_is_out) {
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

}  // namespace
}  // namespace dmiofs::test
