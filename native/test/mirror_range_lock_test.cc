#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "harness.h"
#include "mirror/range_lock.h"

namespace dmiofs::test {
namespace {

using Mode = RangeLock::Mode;

// Runs `work` and waits until it has ended, or until it surely waits for what the caller holds (then it is joined by join()).
class Contender {
 public:
  Contender(RangeLock& lock, uint64_t first, uint64_t last, Mode mode)
      : thread_([this, &lock, first, last, mode] {
          RangeLock::Guard guard(lock, first, last, mode);
          got_.store(true);
          while (hold_.load()) std::this_thread::yield();
        }) {}
  ~Contender() { release(); }
  void release() {
    hold_.store(false);
    if (thread_.joinable()) thread_.join();
  }
  bool got() const { return got_.load(); }
  void wait_until_got() const {
    while (!got()) std::this_thread::yield();
  }

 private:
  std::atomic<bool> hold_{true};
  std::atomic<bool> got_{false};
  std::thread thread_;
};

TEST(range_lock, what_does_not_overlap_does_not_wait) {
  RangeLock lock;
  RangeLock::Guard low(lock, 0, 4096, Mode::kExclusive);
  RangeLock::Guard high(lock, 4096, 8192, Mode::kExclusive);
  RangeLock::Guard last(lock, UINT64_MAX - 1, UINT64_MAX, Mode::kExclusive);
}

TEST(range_lock, readers_share_and_writers_do_not) {
  RangeLock lock;
  Contender first(lock, 0, 100, Mode::kShared);
  first.wait_until_got();
  Contender second(lock, 50, 150, Mode::kShared);
  second.wait_until_got();
  Contender writer(lock, 99, 101, Mode::kExclusive);
  while (lock.waiting() < 1) std::this_thread::yield();
  CHECK(!writer.got());
  first.release();
  CHECK(!writer.got());
  second.release();
  writer.wait_until_got();
}

TEST(range_lock, a_waiting_writer_is_not_starved_by_readers) {
  RangeLock lock;
  Contender reader(lock, 0, 100, Mode::kShared);
  reader.wait_until_got();
  Contender writer(lock, 0, 100, Mode::kExclusive);
  while (lock.waiting() < 1) std::this_thread::yield();
  Contender later(lock, 0, 100, Mode::kShared);
  while (lock.waiting() < 2) std::this_thread::yield();
  Contender elsewhere(lock, 100, 200, Mode::kShared);
  elsewhere.wait_until_got();  // who does not overlap does not queue up
  CHECK(!later.got());
  reader.release();
  writer.wait_until_got();
  CHECK(!later.got());
  writer.release();
  later.wait_until_got();
}

TEST(range_lock, holders_of_a_byte_exclude_each_other) {
  RangeLock lock;
  std::array<std::atomic<int>, 64> cells{};  // -1: a writer is there; else how many readers
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; t++) {
    threads.emplace_back([&lock, &cells, t] {
      Random random(seed() * 10 + t);
      for (unsigned i = 0; i < 400; i++) {
        const uint64_t first = random.below(64);
        const uint64_t last = first + 1 + random.below(64 - first);
        const bool write = random.chance(40);
        RangeLock::Guard guard(lock, first, last, write ? Mode::kExclusive : Mode::kShared);
        for (uint64_t at = first; at < last; at++) {
          if (write) {
            CHECK_EQ(cells[at].exchange(-1), 0);
          } else {
            CHECK(cells[at].fetch_add(1) >= 0);
          }
        }
        std::this_thread::yield();
        for (uint64_t at = first; at < last; at++) {
          if (write) {
            cells[at].store(0);
          } else {
            cells[at].fetch_sub(1);
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace dmiofs::test
