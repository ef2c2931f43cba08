// The log and the record under power cuts: at any Io, with caches that lose, keep or tear what was not
// flushed, thousands of times by seed.
//
// What must hold after a cut
// - a sync region whose mark() returned 0, and that was not cleaned since, is dirty;
// - the record loaded is one that was stored whole, and no older than the newest that store() acknowledged.
#include <atomic>
#include <thread>

#include "harness.h"
#include "mirror/disk_log.h"
#include "mirror/record_store.h"
#include "powercut_device.h"

using namespace dmiofs;
using namespace dmiofs::test;

namespace {

DmIoOptions few_buffers() {
  DmIoOptions options;
  options.ready_queues = 1;
  options.small_buffers = 2;
  options.large_buffers = 2;
  return options;
}

SetRecord record_of(const LogGeometry& geometry, uint64_t generation, unsigned legs) {
  SetRecord record;
  record.uuid.fill(0x22);
  record.generation = generation;
  record.count = geometry.count;
  record.sync_region_sectors = geometry.sync_region_sectors;
  record.legs.resize(legs);
  for (LegRecord& leg : record.legs) leg.left_generation = generation * 3;
  return record;
}

bool whole(const SetRecord& record) {
  for (const LegRecord& leg : record.legs) {
    if (leg.left_generation != record.generation * 3) return false;
  }
  return true;
}

// One life of a log after another on the same disks; each ends with a cut.
class Lives {
 public:
  Lives(uint64_t seed, const LogGeometry& geometry, unsigned threads)
      : random_(seed),
        geometry_(geometry),
        threads_(threads),
        disks_(seed * 3 + 1),
        dirty_(geometry.sync_regions()) {
    disks_.add("log", geometry.total_bytes(), geometry.logical_block);
    dm_io_ = DmIo::create(disks_.engine(), few_buffers()).take();
  }

  bool live() {
    DiskLog::Options options;
    options.geometry = geometry_;
    options.all_clean = std::exchange(first_, false);
    auto log = DiskLog::open(*dm_io_, disks_.open("log"), options);
    auto store = DiskRecordStore::open(*dm_io_, disks_.open("log"), geometry_, 0, true);
    if (!log.ok() || !store.ok()) return failed("cannot be opened");
    store.value()->attach(log.value());
    if (!check(*log.value(), *store.value())) return false;
    disks_.power_off_after(random_.below(60));
    std::vector<std::thread> threads;
    for (unsigned t = 1; t < threads_; t++) {
      threads.emplace_back(
          [&, t, own_seed = random_.next()] { work(*log.value(), *store.value(), t, own_seed); });
    }
    work(*log.value(), *store.value(), 0, random_.next());
    for (std::thread& thread : threads) thread.join();
    disks_.cut();
    return true;
  }

 private:
  bool failed(const char* what) {
    report_failure(__FILE__, __LINE__, what);
    return false;
  }

  bool check(DiskLog& log, DiskRecordStore& store) {
    for (uint64_t at = 0; at < dirty_.size(); at++) {
      if (dirty_[at] != 0 && !log.dirty(at))
        return failed("a sync region that was marked is clean after the cut");
    }
    const SetRecord* record = store.load().record();
    if (acknowledged_ > 0 && record == nullptr) return failed("no record is left");
    if (record != nullptr) {
      if (!whole(*record)) return failed("a torn record was loaded");
      if (record->generation < acknowledged_ || record->generation > asked_)
        return failed("an older record was loaded");
    }
    return true;
  }

  void work(DiskLog& log, DiskRecordStore& store, unsigned self, uint64_t own_seed) {
    Random random(own_seed);
    for (unsigned i = 0; i < 40; i++) {
      const uint64_t at = random.below(dirty_.size() / threads_) * threads_ + self;
      switch (random.below(4)) {
        case 0:
        case 1:
          if (log.mark(at, at) == 0) dirty_[at] = 1;
          break;
        case 2:
          dirty_[at] = 0;
          log.stage_clean(at);
          if (random.chance(60)) (void)log.write_clean();
          break;
        case 3: {
          const uint64_t generation = ++asked_;
          SetRecord record = record_of(geometry_, generation, 1 + static_cast<unsigned>(random.below(20)));
          if (store.store(record) != 0) break;
          uint64_t seen = acknowledged_;
          while (seen < generation && !acknowledged_.compare_exchange_weak(seen, generation)) {
          }
          break;
        }
      }
    }
  }

  Random random_;
  const LogGeometry geometry_;
  const unsigned threads_;
  PowercutDisks disks_;
  std::unique_ptr<DmIo> dm_io_;
  std::vector<uint8_t> dirty_;  // bytes: each written by one thread
  std::atomic<uint64_t> asked_{0}, acknowledged_{0};
  bool first_ = true;
};

void many_lives(unsigned seeds, const LogGeometry& geometry, unsigned threads) {
  for (unsigned i = 0; i < seeds; i++) {
    Lives lives(seed() * 1'000'003 + i, geometry, threads);
    for (unsigned life = 0; life < 4; life++) {
      if (!lives.live()) {
        report_failure(__FILE__, __LINE__,
                       "in round " + std::to_string(i) + ", life " + std::to_string(life));
        return;
      }
    }
  }
}

}  // namespace

TEST(powercut, nothing_marked_or_stored_is_lost) {
  many_lives(rounds(1000), LogGeometry{101 * 8, 8, 512}, 1);
}

TEST(powercut, nothing_is_lost_in_a_log_of_many_blocks) {
  many_lives(rounds(200), LogGeometry{100'000 * 8, 8, 512}, 1);
}

TEST(powercut, nothing_is_lost_on_4096_byte_blocks) {
  many_lives(rounds(200), LogGeometry{65 * 8, 8, 4096}, 1);
}

TEST(powercut, nothing_is_lost_with_many_threads) {
  many_lives(rounds(150), LogGeometry{128 * 8, 8, 512}, 4);
}
