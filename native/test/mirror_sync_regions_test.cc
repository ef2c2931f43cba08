#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "harness.h"
#include "mirror/sync_regions.h"
#include "test/mirror_fakes.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kRegion = 65536;

struct Table {
  explicit Table(uint64_t count)
      : log(count), regions(SyncRegions::create(count * kRegion, kRegion, &log).take()) {}
  int start(uint64_t first, uint64_t last) {
    bool marked = false;
    return regions->start_write(first, last, &marked);
  }
  int clean() { return regions->finish_cleaning(regions->start_cleaning(0, 1000), true); }
  FakeLog log;
  std::unique_ptr<SyncRegions> regions;
};

TEST(sync_regions, a_write_is_dirty_in_the_log_before_it_starts_and_clean_when_idle) {
  Table t(100);
  CHECK_EQ(t.start(3, 5), 0);
  CHECK(t.log.dirty(3) && t.log.dirty(5) && !t.log.dirty(6));
  CHECK_EQ(t.clean(), 0);
  CHECK_EQ(t.regions->dirty_count(), 3u);  // in flight
  t.regions->end_write(3, 5);
  CHECK_EQ(t.start(4, 4), 0);
  CHECK_EQ(t.log.marks(), 1u);  // it was dirty
  CHECK_EQ(t.clean(), 0);
  CHECK_EQ(t.regions->dirty_count(), 1u);
  CHECK(t.log.dirty(4) && !t.log.dirty(3));
  t.regions->end_write(4, 4);
  CHECK_EQ(t.clean(), 0);
  CHECK_EQ(t.regions->next_dirty(0), -1);
  CHECK_EQ(t.start(4, 4), 0);
  CHECK_EQ(t.log.marks(), 2u);
  t.regions->end_write(4, 4);
}

TEST(sync_regions, a_write_during_the_flush_keeps_it_dirty) {
  Table t(4);
  CHECK_EQ(t.start(0, 1), 0);
  t.regions->end_write(0, 1);
  const std::vector<uint64_t> flagged = t.regions->start_cleaning(0, 10);
  CHECK_EQ(flagged.size(), 2u);
  CHECK_EQ(t.start(1, 1), 0);  // begins and ends while the legs are flushed: it may not be on them
  t.regions->end_write(1, 1);
  CHECK_EQ(t.regions->finish_cleaning(flagged, true), 0);
  CHECK(!t.regions->dirty(0));
  CHECK(t.regions->dirty(1) && t.log.dirty(1));
  CHECK_EQ(t.regions->finish_cleaning(t.regions->start_cleaning(0, 10), false), 0);  // the flush failed
  CHECK(t.regions->dirty(1) && t.log.dirty(1));
}

TEST(sync_regions, what_is_not_in_sync_stays_dirty) {
  Table t(200);
  CHECK_EQ(t.start(70, 70), 0);
  t.regions->end_write(70, 70);
  t.regions->set_not_in_sync(70);
  CHECK(t.regions->start_cleaning(0, 10).empty());
  CHECK_EQ(t.regions->next_not_in_sync(0), 70);
  CHECK_EQ(t.regions->next_not_in_sync(71), -1);
  CHECK_EQ(t.regions->in_sync_count(), 199u);
  CHECK(t.regions->all_in_sync(0, 69) && !t.regions->all_in_sync(60, 80));
  t.regions->set_in_sync(70);
  CHECK_EQ(t.clean(), 0);
  CHECK_EQ(t.regions->dirty_count(), 0u);
}

TEST(sync_regions, what_may_differ_is_not_in_sync_until_it_was_copied) {
  Table t(200);
  t.regions->set_not_in_sync(70);
  CHECK(!t.regions->any_may_differ(0, 199));
  t.regions->set_may_differ(71);
  CHECK(!t.regions->in_sync(71) && t.regions->may_differ(71) && !t.regions->may_differ(70));
  CHECK(t.regions->any_may_differ(60, 71) && !t.regions->any_may_differ(72, 199));
  t.regions->set_not_in_sync(71);
  CHECK(t.regions->may_differ(71));
  t.regions->set_in_sync(71);
  CHECK(t.regions->in_sync(71) && !t.regions->may_differ(71));
  CHECK_EQ(t.regions->may_differ_count(), 0u);
  CHECK_EQ(t.regions->in_sync_count(), 199u);
}

TEST(sync_regions, a_log_that_fails_leaves_the_table_as_it_was) {
  Table t(10);
  CHECK_EQ(t.start(2, 2), 0);
  t.log.fail(-EIO);
  CHECK_EQ(t.start(1, 4), -EIO);
  CHECK_EQ(t.start(2, 4), -EIO);
  CHECK_EQ(t.regions->dirty_count(), 1u);
  t.regions->end_write(2, 2);
  t.log.fail(0);
  CHECK_EQ(t.clean(), 0);  // no write was left counted
  CHECK_EQ(t.regions->dirty_count(), 0u);
}

TEST(sync_regions, one_that_is_idle_for_less_than_asked_is_left) {
  Table t(10);
  CHECK_EQ(t.start(1, 1), 0);
  t.regions->end_write(1, 1);
  CHECK(t.regions->start_cleaning(3600 * kNanosPerSecond, 10).empty());
  CHECK_EQ(t.regions->start_cleaning(0, 10).size(), 1u);
}

TEST(sync_regions, sixteen_million_are_a_table_that_costs_nothing_until_touched) {
  auto made = SyncRegions::create(uint64_t{8} << 40, 512 * 1024, nullptr);
  REQUIRE(made.ok());
  SyncRegions& regions = *made.value();
  CHECK_EQ(regions.count(), uint64_t{1} << 24);
  bool marked = false;
  CHECK_EQ(regions.start_write(regions.count() - 1, regions.count() - 1, &marked), 0);
  regions.end_write(regions.count() - 1, regions.count() - 1);
  CHECK_EQ(regions.next_dirty(0), static_cast<int64_t>(regions.count() - 1));
}

TEST(sync_regions, a_few_writes_mark_themselves_only) {
  Table t(1000);
  for (const uint64_t at : {0, 3, 9, 60, 64, 500, 999}) CHECK_EQ(t.start(at, at), 0);
  CHECK_EQ(t.regions->dirty_count(), 7u);
  CHECK_EQ(t.log.marks(), 7u);
}

TEST(sync_regions, who_writes_all_of_a_group_needs_the_log_a_few_times) {
  for (const bool forward : {true, false}) {
    Table t(256);
    Random random(seed());
    std::vector<uint64_t> order(256);
    for (uint64_t at = 0; at < order.size(); at++) {
      order[at] = at;
      if (!forward) std::swap(order[at], order[random.below(at + 1)]);
    }
    uint64_t written = 0;
    for (const uint64_t at : order) {
      CHECK_EQ(t.start(at, at), 0);
      CHECK(t.log.dirty(at) && t.regions->dirty(at));
      t.regions->end_write(at, at);
      written++;
      CHECK(t.regions->dirty_count() <= 2 * written);
      for (uint64_t other = 0; other < 256; other++) CHECK(!t.regions->dirty(other) || t.log.dirty(other));
    }
    CHECK(t.log.marks() <= 4 * (forward ? 8 : 24));
    CHECK_EQ(t.clean(), 0);
    CHECK_EQ(t.regions->dirty_count(), 0u);
    // What was ahead before is not taken for written now.
    CHECK_EQ(t.start(10, 10), 0);
    CHECK_EQ(t.regions->dirty_count(), 1u);
  }
}

// Whoever writes, its sync region is dirty in the log as long as it does, however often the cleaner comes by.
TEST(sync_regions, cleaning_never_overtakes_a_write) {
  Table t(8);
  std::atomic<bool> stop{false};
  std::thread cleaner([&] {
    while (!stop) CHECK_EQ(t.clean(), 0);
  });
  std::vector<std::thread> writers;
  for (unsigned w = 0; w < 3; w++) {
    writers.emplace_back([&t, w] {
      Random random(seed() + w);
      for (unsigned i = 0; i < 3000; i++) {
        const uint64_t first = random.below(8);
        const uint64_t last = std::min<uint64_t>(7, first + random.below(3));
        CHECK_EQ(t.start(first, last), 0);
        for (uint64_t at = first; at <= last; at++) CHECK(t.log.dirty(at) && t.regions->dirty(at));
        t.regions->end_write(first, last);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  cleaner.join();
}

}  // namespace
}  // namespace dmiofs::test
