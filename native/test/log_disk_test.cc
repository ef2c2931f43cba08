// DiskLog: what is durable when, what one write costs, what a failing log does.
#include <atomic>
#include <thread>

#include "base/crc32c.h"
#include "base/little_endian.h"
#include "harness.h"
#include "log_rig.h"
#include "mirror/disk_log.h"

using namespace dmiofs;
using namespace dmiofs::test;

namespace {

constexpr LogGeometry kSmall{131072, 1024, 512};  // 128 sync regions

struct Fixture : LogRig {
  explicit Fixture(const LogGeometry& wanted = kSmall)
      : LogRig(wanted.total_bytes(), wanted.logical_block), geometry(wanted) {}
  std::shared_ptr<DiskLog> open(bool all_clean = false, nanos_t io_timeout = 0) {
    DiskLog::Options options;
    options.geometry = geometry;
    options.all_clean = all_clean;
    options.io_timeout = io_timeout;
    auto log = DiskLog::open(*dm_io, bdev, options);
    if (!log.ok()) report_failure(__FILE__, __LINE__, log.error().message());
    return log.ok() ? log.take() : nullptr;
  }
  uint64_t fail(IoOp op, int error) {
    FaultRule rule;
    rule.ops = 1u << static_cast<unsigned>(op);
    rule.error = error;
    return rules->add(rule);
  }
  LogGeometry geometry;
};

}  // namespace

TEST(log_disk, a_blank_log_is_all_dirty_and_becomes_canonical) {
  Fixture f;
  auto log = f.open();
  REQUIRE(log != nullptr);
  CHECK(log->found().state == LogHeaderState::kBlank);
  CHECK_EQ(log->count_dirty(), 128u);
  CHECK(log->dirty(0) && log->dirty(127));
  const std::vector<uint8_t> bytes = f.disks.content("log");
  CHECK_EQ(load_le32(bytes.data()), kLogMagic);
  CHECK_EQ(load_le64(bytes.data() + 8), 128u);
}

TEST(log_disk, a_mark_is_on_stable_storage_when_it_returns) {
  Fixture f;
  auto log = f.open(true);
  REQUIRE(log != nullptr);
  CHECK_EQ(log->count_dirty(), 0u);
  CHECK_EQ(log->mark(3, 3), 0);
  CHECK_EQ(log->mark(40, 41), 0);
  log.reset();
  f.disks.cut();
  const std::vector<uint8_t> bytes = f.disks.content("log");
  CHECK_EQ(bytes[1024], 0xf7);
  CHECK_EQ(bytes[1024 + 5], 0xfc);
  auto again = f.open();
  CHECK_EQ(again->count_dirty(), 3u);
  CHECK(again->dirty_sync_regions() == std::vector<uint64_t>({3, 40, 41}));
}

TEST(log_disk, what_is_dirty_already_costs_no_write) {
  Fixture f;
  auto log = f.open(true);
  CHECK_EQ(log->mark(0, 100), 0);
  const uint64_t writes = log->writes();
  const uint64_t flushes = f.disks.flushes("log");
  CHECK_EQ(log->mark(0, 100), 0);
  CHECK_EQ(log->mark(63, 64), 0);
  CHECK_EQ(log->writes(), writes);
  CHECK_EQ(f.disks.flushes("log"), flushes);
  CHECK_EQ(log->mark(100, 101), 0);
  CHECK_EQ(log->writes(), writes + 1);
  CHECK_EQ(log->mark(100, 128), -EINVAL);
}

TEST(log_disk, a_large_set_writes_only_the_blocks_that_change) {
  Fixture f(LogGeometry{uint64_t{1} << 34, 1024, 512});  // 8 TiB, 16 million sync regions
  auto log = f.open(true);
  REQUIRE(log != nullptr);
  const uint64_t before = f.disks.written_bytes("log");
  CHECK_EQ(log->mark(12'345'678, 12'345'678), 0);
  CHECK_EQ(f.disks.written_bytes("log") - before, 4096u);
  CHECK_EQ(log->mark(0, (uint64_t{1} << 24) - 1), 0);
  CHECK_EQ(log->count_dirty(), uint64_t{1} << 24);
  f.disks.cut();
  CHECK_EQ(f.open()->count_dirty(), uint64_t{1} << 24);
}

TEST(log_disk, cleaning_needs_no_flush_and_marking_after_it_writes_again) {
  Fixture f;
  auto log = f.open(true);
  CHECK_EQ(log->mark(7, 9), 0);
  const uint64_t flushes = f.disks.flushes("log");
  log->stage_clean(8);
  CHECK(!log->dirty(8));
  CHECK_EQ(log->write_clean(), 0);
  CHECK_EQ(f.disks.flushes("log"), flushes);
  CHECK_EQ(f.disks.content("log")[1025], 0xfd);
  CHECK_EQ(log->mark(8, 8), 0);
  CHECK_EQ(f.disks.flushes("log"), flushes + 1);
  CHECK(log->dirty(8));
  CHECK_EQ(log->count_dirty(), 3u);
  // Staged, then marked before it was written: the mark wins.
  log->stage_clean(9);
  CHECK_EQ(log->mark(9, 9), 0);
  CHECK_EQ(log->write_clean(), 0);
  f.disks.cut();
  CHECK(f.open()->dirty(9));
}

TEST(log_disk, a_log_that_fails_says_so_and_heals) {
  Fixture f;
  auto log = f.open(true);
  CHECK_EQ(log->mark(1, 1), 0);
  const uint64_t rule = f.fail(IoOp::kWrite, ENOSPC);
  CHECK_EQ(log->mark(2, 2), -ENOSPC);
  CHECK(!log->dirty(2));
  CHECK_EQ(log->mark(1, 1), 0);  // was dirty before: its writes go on
  CHECK_EQ(log->status().health, 'D');
  CHECK_EQ(log->status().err, ENOSPC);
  CHECK_EQ(log->mark(2, 2), -ENOSPC);
  f.rules->remove(rule);
  CHECK_EQ(log->mark(2, 2), 0);
  CHECK_EQ(log->status().health, 'A');
  f.disks.cut();
  auto again = f.open();
  CHECK(again->dirty(1) && again->dirty(2));

  const uint64_t flush_rule = f.fail(IoOp::kFlush, EIO);
  CHECK_EQ(again->mark(5, 5), -EIO);
  CHECK_EQ(again->status().health, 'F');
  CHECK(!again->dirty(5));
  f.rules->remove(flush_rule);
  CHECK_EQ(again->mark(6, 6), 0);  // heals for 5, too: both are in the block written
  CHECK(again->dirty(5) && again->dirty(6));
}

TEST(log_disk, a_hung_log_fails_in_time_and_is_not_written_until_it_answers) {
  Fixture f;
  auto log = f.open(true, 50 * kNanosPerMilli);
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  rule.action = FaultAction::kHang;
  const uint64_t id = f.rules->add(rule);
  CHECK_EQ(log->mark(2, 2), -ETIMEDOUT);
  CHECK_EQ(log->mark(3, 3), -ETIMEDOUT);
  CHECK_EQ(f.rules->hits(id), 1u);
  CHECK_EQ(log->status().err, ETIMEDOUT);
  f.rules->remove(id);
  int err = -ETIMEDOUT;
  for (unsigned i = 0; i < 2000 && err != 0; i++) {
    err = log->mark(2, 3);
    if (err != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK_EQ(err, 0);
  log.reset();
  f.disks.cut();
  auto again = f.open();
  CHECK(again->dirty(2) && again->dirty(3));
}

TEST(log_disk, a_log_that_cannot_be_read_or_is_too_small_is_refused) {
  Fixture f;
  f.fail(IoOp::kRead, EIO);
  DiskLog::Options options;
  options.geometry = kSmall;
  CHECK_EQ(DiskLog::open(*f.dm_io, f.bdev, options).error().err, EIO);
  f.rules->clear();
  options.geometry.count = uint64_t{1} << 34;
  CHECK_EQ(DiskLog::open(*f.dm_io, f.bdev, options).error().err, EINVAL);
}

TEST(log_disk, read_only_writes_nothing) {
  Fixture f;
  DiskLog::Options options;
  options.geometry = kSmall;
  options.writable = false;
  auto log = DiskLog::open(*f.dm_io, f.bdev, options).take();
  CHECK_EQ(log->count_dirty(), 128u);
  log->stage_clean(3);
  CHECK_EQ(log->write_clean(), 0);
  uint32_t checksum = 0;
  CHECK_EQ(log->settle(&checksum), -EROFS);
  CHECK_EQ(f.disks.written_bytes("log"), 0u);
}

TEST(log_disk, settling_gives_the_checksum_of_what_is_there) {
  Fixture f;
  auto log = f.open(true);
  CHECK_EQ(log->mark(1, 5), 0);
  log->stage_clean(2);
  uint32_t checksum = 0;
  CHECK_EQ(log->settle(&checksum), 0);
  f.disks.cut();
  const std::vector<uint8_t> bytes = f.disks.content("log");
  CHECK_EQ(checksum, crc32c(std::span(bytes).first(kSmall.bits_end())));
  CHECK_EQ(f.open()->found_checksum(), checksum);
}

TEST(log_disk, waiting_writers_share_one_log_write) {
  Fixture f;
  auto log = f.open(true);
  const uint64_t before = log->writes();
  FaultRule rule;
  rule.ops = 1u << static_cast<unsigned>(IoOp::kFlush);
  rule.action = FaultAction::kHang;
  const uint64_t id = f.rules->add(rule);
  std::vector<std::thread> threads;
  std::atomic<unsigned> started{0}, failed{0};
  for (unsigned i = 0; i < 16; i++) {
    threads.emplace_back([&, i] {
      started++;
      if (log->mark(i * 8, i * 8 + 3) != 0) failed++;
      if (!log->dirty(i * 8)) failed++;
    });
  }
  // All marks are in the image while the first batch hangs in its flush: the others are one batch.
  while (started < 16 || log->count_dirty() < 16 * 4 || f.rules->hits(id) == 0) std::this_thread::yield();
  f.rules->remove(id);
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(failed.load(), 0u);
  CHECK(log->writes() - before <= 2);
}

// Threads mark and clean sync regions of their own in shared blocks, while the log fails now and then: what a
// thread has marked, and not cleaned since, is dirty after a cut.
TEST(log_disk, marks_survive_cleaning_beside_them_and_failures) {
  for (unsigned round = 0; round < rounds(5); round++) {
    Fixture f;
    auto log = f.open(true);
    FaultRule rule;
    rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite) | 1u << static_cast<unsigned>(IoOp::kFlush);
    rule.chance_per_million = 50'000;
    rule.seed = seed() + round;
    f.rules->add(rule);
    std::vector<std::vector<bool>> marked(4, std::vector<bool>(32));
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
      threads.emplace_back([&, t] {
        Random random(seed() * 31 + round * 7 + t);
        for (unsigned i = 0; i < 400; i++) {
          const uint64_t own = random.below(32);
          const uint64_t at = own * 4 + t;  // neighbours belong to others
          if (random.chance(60)) {
            if (log->mark(at, at) == 0) {
              marked[t][own] = true;
              if (!log->dirty(at)) report_failure(__FILE__, __LINE__, "marked, but not dirty");
            }
          } else {
            marked[t][own] = false;
            log->stage_clean(at);
            if (random.chance(50)) (void)log->write_clean();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    f.rules->clear();
    log.reset();
    f.disks.cut();
    auto again = f.open();
    for (unsigned t = 0; t < 4; t++) {
      for (unsigned own = 0; own < 32; own++) CHECK(!marked[t][own] || again->dirty(own * 4 + t));
    }
  }
}
