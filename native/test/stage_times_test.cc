#include "base/stage_times.h"

#include <thread>

#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

struct Timing {
  Timing() { StageTimes::enable(true); }
  ~Timing() { StageTimes::enable(false); }
};

uint64_t count_of(TimedOp op, Stage stage) { return StageTimes::of(op, stage).count; }

TEST(stage_times, a_write_and_a_read_pass_their_stages) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(204800, seed());  // two pieces, no edge to be read
  const uint64_t reads = count_of(TimedOp::kRead, Stage::kSubmitted);
  const uint64_t marked = count_of(TimedOp::kWrite, Stage::kDirtyMarked);
  const uint64_t submitted = count_of(TimedOp::kWrite, Stage::kSubmitted);
  const uint64_t answered = count_of(TimedOp::kWrite, Stage::kAnswered);
  Timing timing;
  StageTimes::begin(TimedOp::kWrite);
  REQUIRE(fixture.set->write(data.data(), data.size(), 0) == 0);
  StageTimes::end();
  CHECK_EQ(count_of(TimedOp::kWrite, Stage::kDirtyMarked), marked + 1);
  CHECK_EQ(count_of(TimedOp::kWrite, Stage::kSubmitted), submitted + 2);
  CHECK_EQ(count_of(TimedOp::kWrite, Stage::kAnswered), answered + 1);
  std::vector<uint8_t> read(4096);
  REQUIRE(fixture.set->read(read.data(), read.size(), 0) == 0);  // not of a mount
  CHECK_EQ(count_of(TimedOp::kRead, Stage::kSubmitted), reads);
}

TEST(stage_times, nothing_is_counted_while_off) {
  const uint64_t before = StageTimes::whole(TimedOp::kFlush).count;
  StageTimes::begin(TimedOp::kFlush);
  StageTimes::pass(Stage::kSubmitted);
  StageTimes::end();
  CHECK_EQ(StageTimes::whole(TimedOp::kFlush).count, before);
}

TEST(stage_times, percentiles_are_those_of_the_times_passed) {
  const StageSummary before = StageTimes::whole(TimedOp::kFlush);
  Timing timing;
  for (int i = 0; i < 100; i++) {
    StageTimes::begin(TimedOp::kFlush);
    if (i % 50 == 49) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    StageTimes::end();
  }
  const StageSummary times = StageTimes::whole(TimedOp::kFlush);
  CHECK_EQ(times.count, before.count + 100);
  CHECK(times.p50 < 20'000'000);
  CHECK(times.p99 >= 20'000'000 * 7 / 8);
  CHECK(times.max >= 20'000'000 && times.p99 <= times.max && times.p50 <= times.p99);
  CHECK(times.total >= before.total + 40'000'000);
}

}  // namespace
}  // namespace dmiofs::test
