// DiskRecordStore: two slots, one of them always whole.
#include "mirror/record_store.h"

#include <atomic>
#include <thread>

#include "harness.h"
#include "log_rig.h"

using namespace dmiofs;
using namespace dmiofs::test;

namespace {

constexpr LogGeometry kSmall{131072, 1024, 512};

SetRecord record_of(uint64_t generation, unsigned legs = 2) {
  SetRecord record;
  record.uuid.fill(0x11);
  record.generation = generation;
  record.count = kSmall.count;
  record.sync_region_sectors = kSmall.sync_region_sectors;
  record.legs.resize(legs);
  // What ties content and generation together: a record of one with the other would be a torn one.
  for (LegRecord& leg : record.legs) leg.left_generation = generation * 3;
  return record;
}

struct Fixture : LogRig {
  Fixture() : LogRig(kSmall.total_bytes()) {}
  std::shared_ptr<DiskRecordStore> open(nanos_t io_timeout = 0) {
    return DiskRecordStore::open(*dm_io, bdev, kSmall, io_timeout, true).take();
  }
};

}  // namespace

TEST(record_store, what_was_stored_is_loaded_after_a_cut) {
  Fixture f;
  auto store = f.open();
  CHECK(store->load().record() == nullptr);
  for (uint64_t generation = 1; generation <= 5; generation++) {
    CHECK_EQ(store->store(record_of(generation, 64)), 0);
    f.disks.cut();
    auto again = f.open();
    REQUIRE(again->load().record() != nullptr);
    CHECK_EQ(again->load().record()->generation, generation);
    CHECK_EQ(again->load().record()->legs.size(), 64u);
    CHECK_EQ(again->durable_generation(), generation);
  }
  CHECK_EQ(store->durable_generation(), 5u);
}

TEST(record_store, an_older_generation_is_not_written) {
  Fixture f;
  auto store = f.open();
  CHECK_EQ(store->store(record_of(7)), 0);
  const uint64_t written = f.disks.written_bytes("log");
  CHECK_EQ(store->store(record_of(7)), 0);
  CHECK_EQ(store->store(record_of(3)), 0);
  CHECK_EQ(f.disks.written_bytes("log"), written);
}

TEST(record_store, a_failed_store_leaves_the_one_before_and_goes_to_the_same_slot_again) {
  Fixture f;
  auto store = f.open();
  CHECK_EQ(store->store(record_of(1)), 0);
  CHECK_EQ(store->store(record_of(2)), 0);
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  rule.action = FaultAction::kTorn;
  rule.torn_bytes = 512;
  rule.error = ENOSPC;
  const uint64_t id = f.rules->add(rule);
  CHECK_EQ(store->store(record_of(3)), -ENOSPC);
  CHECK_EQ(store->store(record_of(4)), -ENOSPC);
  const int suspect = store->suspect_slot();
  CHECK_EQ(suspect, 0);
  f.rules->remove(id);
  {
    auto again = f.open();
    REQUIRE(again->load().record() != nullptr);
    CHECK_EQ(again->load().record()->generation, 2u);
  }
  CHECK_EQ(store->store(record_of(5)), 0);
  CHECK_EQ(store->suspect_slot(), -1);
  CHECK_EQ(f.open()->load().newest, suspect);
}

TEST(record_store, a_record_without_its_flush_is_not_durable) {
  Fixture f;
  auto store = f.open();
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kFlush);
  f.rules->add(rule);
  CHECK_EQ(store->store(record_of(1)), -EIO);
  CHECK_EQ(store->durable_generation(), 0u);
}

TEST(record_store, a_hung_log_fails_in_time_and_the_late_write_overtakes_nothing) {
  Fixture f;
  auto store = f.open(50 * kNanosPerMilli);
  CHECK_EQ(store->store(record_of(1)), 0);
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  rule.action = FaultAction::kHang;
  const uint64_t id = f.rules->add(rule);
  CHECK_EQ(store->store(record_of(2)), -ETIMEDOUT);
  CHECK_EQ(store->store(record_of(3)), -ETIMEDOUT);
  CHECK_EQ(f.rules->hits(id), 1u);
  f.rules->remove(id);
  int err = -ETIMEDOUT;
  for (unsigned i = 0; i < 2000 && err != 0; i++) {
    err = store->store(record_of(4));
    if (err != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK_EQ(err, 0);
  CHECK_EQ(f.open()->load().record()->generation, 4u);
}

TEST(record_store, an_unreadable_slot_is_an_error_not_a_step_back) {
  Fixture f;
  CHECK_EQ(f.open()->store(record_of(1)), 0);
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kRead);
  rule.first_byte = kSmall.slot_offset(1);
  f.rules->add(rule);
  CHECK_EQ(DiskRecordStore::open(*f.dm_io, f.bdev, kSmall, 0, true).error().err, EIO);
}

TEST(record_store, a_clean_record_holds_the_checksum_of_the_bits) {
  Fixture f;
  DiskLog::Options options;
  options.geometry = kSmall;
  options.all_clean = true;
  auto log = DiskLog::open(*f.dm_io, f.bdev, options).take();
  auto store = f.open();
  SetRecord record = record_of(1);
  record.clean = true;
  CHECK_EQ(store->store(record), -EINVAL);  // no log to vouch for
  store->attach(log);
  CHECK_EQ(log->mark(3, 3), 0);
  log->stage_clean(3);  // not written yet: the store does
  record.generation = 2;
  CHECK_EQ(store->store(record), 0);
  f.disks.cut();
  const ParsedRecord parsed = f.open()->load();
  REQUIRE(parsed.record() != nullptr);
  CHECK(parsed.record()->clean);
  auto log_again = DiskLog::open(*f.dm_io, f.bdev, DiskLog::Options{kSmall}).take();
  CHECK_EQ(parsed.record()->log_checksum, log_again->found_checksum());
  CHECK_EQ(log_again->count_dirty(), 0u);
}

TEST(record_store, callers_that_come_together_share_a_store) {
  Fixture f;
  auto store = f.open();
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kFlush);
  rule.action = FaultAction::kHang;
  const uint64_t id = f.rules->add(rule);
  std::vector<std::thread> threads;
  std::atomic<unsigned> started{0}, failed{0};
  for (uint64_t generation = 1; generation <= 16; generation++) {
    threads.emplace_back([&, generation] {
      started++;
      if (store->store(record_of(generation)) != 0) failed++;
      if (store->durable_generation() < generation) failed++;
    });
  }
  while (started < 16 || f.rules->hits(id) == 0) std::this_thread::yield();
  f.rules->remove(id);
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(failed.load(), 0u);
  CHECK_EQ(f.open()->load().record()->generation, 16u);
}
