// What a kernel mirror leaves open (docs/mirror.md, K7 and K11) and no other test shows; the table there names the tests of the rest.
#include <cstring>
#include <thread>

#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

TEST(mirror_kernel_gaps, k7_a_buffer_changed_during_the_write_is_the_same_on_each_leg) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const uint64_t rule = fixture.fault(1, IoOp::kWrite, FaultAction::kHang);
  std::vector<uint8_t> data(8192, 0x11);
  std::thread writer([&] { CHECK_EQ(fixture.set->write(data.data(), data.size(), 4096), 0); });
  // Leg 0 has it, leg 1 has not read the memory yet: a page that is written to meanwhile.
  while (fixture.rules->hits(rule) == 0) std::this_thread::yield();
  std::memset(data.data(), 0x22, data.size());
  fixture.rules->remove(rule);
  writer.join();
  CHECK(fixture.legs_equal());
}

TEST(mirror_kernel_gaps, k11_a_discard_is_dirty_as_a_write_and_zeros_on_every_leg) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  const std::vector<uint8_t> data(256 * 1024, 0x33);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  fixture.set->stop();
  fixture.set.reset();
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, 0u);
  CHECK_EQ(fixture.set->zero(70000, 100000, true), 0);
  CHECK(fixture.set->snapshot().dirty_sync_regions > 0);
  CHECK(fixture.legs_equal());
  const std::vector<uint8_t> leg = fixture.leg_bytes(0);
  for (uint64_t at = 70000; at < 170000; at++) {
    if (leg[at] == 0) continue;
    CHECK_EQ(leg[at], 0);
    break;
  }
  CHECK_EQ(leg[69999], 0x33);
  CHECK_EQ(leg[170000], 0x33);
}

TEST(mirror_kernel_gaps, k11_a_leg_that_fails_a_discard_is_out) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fixture.fault(1, IoOp::kDiscard, FaultAction::kError);
  CHECK_EQ(fixture.set->zero(0, 65536, true), 0);
  CHECK_EQ(fixture.set->snapshot().legs[1].state, LegState::kFailed);
}

}  // namespace
}  // namespace dmiofs::test
