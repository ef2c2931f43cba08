// Statistics of a leg: buckets, sums over threads, and what the set's data paths record; the map of sync regions.
#include <thread>
#include <vector>

#include "mirror/leg_statistics.h"
#include "mirror/sync_regions.h"
#include "test/harness.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

TEST(leg_statistics, a_bucket_holds_what_took_at_most_its_bound) {
  CHECK_EQ(latency_bucket(-5), 0u);
  CHECK_EQ(latency_bucket(0), 0u);
  for (unsigned k = 0; k + 1 < kLatencyBuckets; k++) {
    const nanos_t bound = kFirstLatencyBound << k;
    CHECK_EQ(latency_bucket(bound), k);
    CHECK_EQ(latency_bucket(bound + 1), k + 1);
  }
  CHECK_EQ(latency_bucket(INT64_MAX), kLatencyBuckets - 1);
}

TEST(leg_statistics, threads_lose_nothing) {
  LegStatistics statistics;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; i++) {
    threads.emplace_back([&statistics] {
      for (int n = 0; n < 1000; n++) statistics.record(LegOp::kWrite, 512, 10'000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  statistics.record(LegOp::kFlush, 0, 1);
  const LegTotals totals = statistics.totals();
  const LegOpTotal& writes = totals[static_cast<unsigned>(LegOp::kWrite)];
  CHECK_EQ(writes.count(), 6000u);
  CHECK_EQ(writes.bytes, 6000u * 512);
  CHECK_EQ(writes.nanos, 6000u * 10'000);
  CHECK_EQ(writes.buckets[1], 6000u);
  CHECK_EQ(totals[static_cast<unsigned>(LegOp::kFlush)].count(), 1u);
  CHECK_EQ(totals[static_cast<unsigned>(LegOp::kRead)].count(), 0u);
}

TEST(leg_statistics, each_leg_counts_what_it_did_and_how_long_it_took) {
  MirrorFixture t(2);
  REQUIRE(t.start());
  FaultRule slow;
  slow.device = t.images[1];
  slow.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  slow.action = FaultAction::kDelay;
  slow.delay_nanos = 40 * kNanosPerMilli;
  t.rules->add(slow);
  const std::vector<uint8_t> data = pattern(8192, 1);
  std::vector<uint8_t> back(4096);
  for (int i = 0; i < 3; i++) CHECK_EQ(t.set->write(data.data(), data.size(), 65536), 0);
  CHECK_EQ(t.set->read(back.data(), back.size(), 65536), 0);
  CHECK_EQ(t.set->flush(), 0);
  CHECK_EQ(t.set->zero(131072, 65536, false), 0);
  const std::vector<LegTotals> legs = t.set->leg_totals();
  REQUIRE(legs.size() == 2);
  const auto of = [&legs](size_t leg, LegOp op) { return legs[leg][static_cast<unsigned>(op)]; };
  for (size_t leg = 0; leg < 2; leg++) {
    CHECK_EQ(of(leg, LegOp::kWrite).count(), 3u);
    CHECK_EQ(of(leg, LegOp::kWrite).bytes, 3u * 8192);
    CHECK_EQ(of(leg, LegOp::kFlush).count(), 1u);
    CHECK_EQ(of(leg, LegOp::kZero).count(), 1u);
    CHECK_EQ(of(leg, LegOp::kZero).bytes, 65536u);
  }
  // The delay is the slow leg's alone, though both were written by one request.
  CHECK(of(1, LegOp::kWrite).nanos >= 3u * 40 * kNanosPerMilli);
  CHECK(of(0, LegOp::kWrite).nanos < of(1, LegOp::kWrite).nanos);
  for (unsigned k = 0; k < latency_bucket(40 * kNanosPerMilli); k++)
    CHECK_EQ(of(1, LegOp::kWrite).buckets[k], 0u);
  CHECK_EQ(of(0, LegOp::kRead).count() + of(1, LegOp::kRead).count(), 1u);
  const SetInfo info = t.set->snapshot();
  CHECK_EQ(info.legs[0].writes, 4u);
  CHECK_EQ(info.legs[0].write_bytes, 3u * 8192);
  CHECK_EQ(info.in_flight, 0u);
}

TEST(leg_statistics, what_was_given_up_counts_with_the_time_until_then) {
  MirrorFixture t(2);
  t.options.io_timeout = 50 * kNanosPerMilli;
  REQUIRE(t.start());
  t.fault(1, IoOp::kWrite, FaultAction::kHang);
  const std::vector<uint8_t> data = pattern(4096, 1);
  CHECK_EQ(t.set->write(data.data(), data.size(), 0), 0);
  const LegOpTotal hung = t.set->leg_totals()[1][static_cast<unsigned>(LegOp::kWrite)];
  CHECK_EQ(hung.count(), 1u);
  CHECK(hung.nanos >= 50u * kNanosPerMilli);
}

TEST(sync_regions, a_map_shows_the_worst_state_of_each_cell) {
  auto made = SyncRegions::create(1000 * 4096, 4096, nullptr);
  CHECK(made.ok());
  const std::unique_ptr<SyncRegions> regions = made.take();
  regions->set_dirty_in_memory(0);
  regions->set_dirty_in_memory(65);
  regions->set_dirty_in_memory(999);
  regions->set_not_in_sync(70);
  const SyncMap map = regions->map(100);
  CHECK_EQ(map.sync_regions, 1000u);
  CHECK_EQ(map.per_cell, 10u);
  CHECK_EQ(map.cells.size(), 100u);
  for (size_t i = 0; i < map.cells.size(); i++) {
    const SyncCell wanted = i == 7                        ? SyncCell::kNotInSync
                            : i == 0 || i == 6 || i == 99 ? SyncCell::kDirty
                                                          : SyncCell::kClean;
    CHECK(map.cells[i] == wanted);
  }
  const SyncMap odd = regions->map(300);  // cells of 4: 250 of them
  CHECK_EQ(odd.per_cell, 4u);
  CHECK_EQ(odd.cells.size(), 250u);
  CHECK(odd.cells.back() == SyncCell::kDirty);
  const SyncMap exact = regions->map(5000);
  CHECK_EQ(exact.per_cell, 1u);
  CHECK_EQ(exact.cells.size(), 1000u);
  CHECK(exact.cells[70] == SyncCell::kNotInSync);
}

}  // namespace
}  // namespace dmiofs::test
