// The fault engine: each action, which Ios a rule acts on, and that a rehearsal repeats.
#include <algorithm>
#include <thread>

#include "base/sector.h"
#include "test/engine_fixture.h"

namespace dmiofs::test {
namespace {

constexpr uint32_t op_bit(IoOp op) { return 1u << static_cast<unsigned>(op); }

struct Rig {
  explicit Rig(uint64_t bytes = 65536)
      : rules(std::make_shared<FaultRules>()),
        engine(make_fault_engine(make_threads_engine(), rules)),
        queue(engine->open_queue(16).take()),
        device(new_device(bytes)),
        memory(4096) {}
  int run(IoOp op, uint64_t offset = 0, uint64_t length = 4096) {
    return run_io(*queue, op, device, offset, op == IoOp::kFlush ? 0 : length, memory.data());
  }
  std::string content() { return file_content(device->info().path); }

  std::shared_ptr<FaultRules> rules;
  std::shared_ptr<Engine> engine;
  std::unique_ptr<IoQueue> queue;
  std::shared_ptr<Device> device;
  Buffer memory;
};

}  // namespace

TEST(engine_faults, an_error_leaves_the_device_untouched) {
  Rig rig;
  const std::string before = rig.content();
  const uint64_t id = rig.rules->add({.action = FaultAction::kError, .error = ENOSPC});
  for (const IoOp op : {IoOp::kRead, IoOp::kWrite, IoOp::kFlush, IoOp::kDiscard, IoOp::kWriteZeroes}) {
    CHECK_EQ(rig.run(op), -ENOSPC);
  }
  CHECK_EQ(rig.rules->hits(id), 5u);
  CHECK(rig.content() == before);
  CHECK(rig.rules->remove(id));
  CHECK(!rig.rules->remove(id));
  CHECK_EQ(rig.run(IoOp::kRead), 0);
}

TEST(engine_faults, an_error_after_has_done_the_io) {
  Rig rig;
  rig.rules->add({.action = FaultAction::kErrorAfter});
  rig.memory.randomise(7);
  CHECK_EQ(rig.run(IoOp::kWrite), -EIO);
  CHECK(rig.content().substr(0, 4096) == rig.memory.text());
}

TEST(engine_faults, a_delay_ends_not_before_its_time) {
  Rig rig;
  rig.rules->add({.action = FaultAction::kDelay, .delay_nanos = 30 * kNanosPerMilli});
  const nanos_t start = now_nanos();
  CHECK_EQ(rig.run(IoOp::kRead), 0);
  CHECK(now_nanos() - start >= 30 * kNanosPerMilli);
  CHECK(rig.memory.text() == rig.content().substr(0, 4096));
}

TEST(engine_faults, delays_run_beside_each_other_and_undelayed_io_overtakes) {
  Rig rig;
  auto other = new_device(8192);
  rig.rules->add(
      {.device = rig.device->info().path, .action = FaultAction::kDelay, .delay_nanos = kNanosPerSecond / 5});
  Buffer memory(4096 * 3);
  CountedIo slow1(IoOp::kRead, rig.device, 0, 4096, memory.data());
  CountedIo slow2(IoOp::kRead, rig.device, 4096, 4096, memory.data() + 4096);
  CountedIo fast(IoOp::kRead, other, 0, 4096, memory.data() + 8192);
  for (CountedIo* io : {&slow1, &slow2, &fast}) rig.queue->queue(&io->io);
  CHECK_EQ(rig.queue->reap(kNoDeadline), 1u);
  CHECK_EQ(fast.completions.load(), 1);
  CHECK_EQ(rig.queue->drain(kNoDeadline), 2u);
}

TEST(engine_faults, a_hang_ends_with_its_rule_and_then_reaches_the_device) {
  Rig rig;
  const std::string before = rig.content();
  const uint64_t id = rig.rules->add({.ops = op_bit(IoOp::kWrite), .action = FaultAction::kHang});
  rig.memory.randomise(9);
  CountedIo write(IoOp::kWrite, rig.device, 0, 4096, rig.memory.data());
  rig.queue->queue(&write.io);
  CHECK_EQ(rig.queue->reap(now_nanos() + 40 * kNanosPerMilli), 0u);
  CHECK_EQ(rig.queue->drain(now_nanos() + 5 * kNanosPerMilli), 0u);
  CHECK_EQ(rig.queue->in_flight(), 1u);
  CHECK(rig.content() == before);
  CHECK_EQ(rig.run(IoOp::kRead, 4096), 0);  // others go on
  rig.rules->remove(id);
  CHECK_EQ(rig.queue->drain(kNoDeadline), 1u);
  CHECK_EQ(write.io.result, 0);
  CHECK(rig.content().substr(0, 4096) == rig.memory.text());
}

TEST(engine_faults, a_torn_write_leaves_whole_blocks) {
  Rig rig;
  const std::string before = rig.content();
  rig.rules->add({.action = FaultAction::kTorn, .error = EIO, .torn_bytes = 1300});
  rig.memory.randomise(11);
  CHECK_EQ(rig.run(IoOp::kWrite), -EIO);
  const uint64_t block = rig.device->info().logical_block_size;
  const uint64_t torn = round_down(1300, block);
  CHECK(rig.content().substr(0, torn) == rig.memory.text().substr(0, torn));
  CHECK(rig.content().substr(torn) == before.substr(torn));
  CHECK_EQ(rig.run(IoOp::kRead), 0);  // a read is not torn
}

TEST(engine_faults, a_dropped_write_says_success) {
  Rig rig;
  const std::string before = rig.content();
  const uint64_t id = rig.rules->add({.action = FaultAction::kDrop});
  rig.memory.randomise(12);
  CHECK_EQ(rig.run(IoOp::kWrite), 0);
  CHECK_EQ(rig.run(IoOp::kFlush), 0);
  CHECK(rig.content() == before);
  CHECK_EQ(rig.run(IoOp::kRead), 0);
  CHECK(rig.memory.text() == before.substr(0, 4096));
  CHECK_EQ(rig.rules->hits(id), 2u);
}

TEST(engine_faults, a_corrupt_read_differs_in_one_byte) {
  Rig rig;
  rig.rules->add({.action = FaultAction::kCorrupt});
  CHECK_EQ(rig.run(IoOp::kRead), 0);
  const std::string content = rig.content();
  unsigned different = 0;
  for (unsigned i = 0; i < 4096; i++)
    different += rig.memory.data()[i] != static_cast<uint8_t>(content[i]) ? 1 : 0;
  CHECK_EQ(different, 1u);
}

TEST(engine_faults, a_rule_acts_where_it_says) {
  Rig rig;
  auto other = new_device(65536);
  rig.rules->add({.device = rig.device->info().path,
                  .ops = op_bit(IoOp::kRead) | op_bit(IoOp::kFlush),
                  .first_byte = 8192,
                  .last_byte = 8703});
  CHECK_EQ(rig.run(IoOp::kRead, 4096), 0);
  CHECK_EQ(rig.run(IoOp::kRead, 8192), -EIO);
  CHECK_EQ(rig.run(IoOp::kRead, 8192 - 512, 1024), -EIO);
  CHECK_EQ(rig.run(IoOp::kRead, 8704), 0);
  CHECK_EQ(rig.run(IoOp::kWrite, 8192), 0);
  CHECK_EQ(rig.run(IoOp::kFlush), -EIO);  // a flush touches all
  CHECK_EQ(run_io(*rig.queue, IoOp::kRead, other, 8192, 4096, rig.memory.data()), 0);
}

TEST(engine_faults, skip_and_times_count_matches) {
  Rig rig;
  const uint64_t id = rig.rules->add({.ops = op_bit(IoOp::kRead), .skip = 2, .times = 3});
  std::string pattern;
  for (unsigned i = 0; i < 8; i++) {
    pattern += rig.run(IoOp::kRead) == 0 ? '.' : 'E';
    CHECK_EQ(rig.run(IoOp::kWrite), 0);
  }
  CHECK_EQ(pattern, "..EEE...");
  CHECK_EQ(rig.rules->hits(id), 3u);
  CHECK_EQ(rig.rules->list().size(), 1u);
  rig.rules->clear();
  CHECK_EQ(rig.rules->list().size(), 0u);
}

TEST(engine_faults, the_first_rule_that_acts_wins) {
  Rig rig;
  rig.rules->add({.times = 1, .action = FaultAction::kError, .error = ENOSPC});
  rig.rules->add({.times = 2, .action = FaultAction::kError, .error = EREMOTEIO});
  CHECK_EQ(rig.run(IoOp::kRead), -ENOSPC);
  CHECK_EQ(rig.run(IoOp::kRead), -EREMOTEIO);
  CHECK_EQ(rig.run(IoOp::kRead), -EREMOTEIO);
  CHECK_EQ(rig.run(IoOp::kRead), 0);
}

TEST(engine_faults, chance_depends_on_seed_and_count_alone) {
  const auto pattern = [](uint64_t rule_seed) {
    Rig rig;
    rig.rules->add({.chance_per_million = 300'000, .seed = rule_seed});
    std::string text;
    for (unsigned i = 0; i < 200; i++) text += rig.run(IoOp::kRead, 0, 512) == 0 ? '.' : 'E';
    return text;
  };
  const std::string first = pattern(42);
  CHECK(first == pattern(42));
  CHECK(first != pattern(43));
  const auto errors = std::count(first.begin(), first.end(), 'E');
  CHECK(errors > 30 && errors < 90);
}

// While an Io hangs the queue looks now and then whether its rule is gone: no wake() may be lost to that.
TEST(engine_faults, no_wake_is_lost_while_an_io_hangs) {
  Rig rig;
  const uint64_t id = rig.rules->add({.action = FaultAction::kHang});
  CountedIo hung(IoOp::kRead, rig.device, 0, 4096, rig.memory.data());
  rig.queue->queue(&hung.io);
  constexpr int kRounds = 200;
  std::atomic<int> round{-1};
  std::thread waker([&] {
    Random random(seed());
    for (int i = 0; i < kRounds; i++) {
      while (round.load() < i) std::this_thread::yield();
      // Now and then just when the queue looks.
      if (i % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(9800 + random.below(400)));
      rig.queue->wake();
    }
  });
  for (int i = 0; i < kRounds; i++) {
    round.store(i);
    rig.queue->reap(kNoDeadline);
  }
  waker.join();
  rig.rules->remove(id);
  CHECK_EQ(rig.queue->drain(kNoDeadline), 1u);
}

TEST(engine_faults, name_says_what_it_wraps) {
  CHECK_EQ(std::string(Rig().engine->name()), "fault(threads)");
}

}  // namespace dmiofs::test
