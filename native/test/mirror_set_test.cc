#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"
#include "test/powercut_device.h"

namespace dmiofs::test {
namespace {

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
      ReadLoan loan;
      CHECK_EQ(fixture.set->read(data.data(), length, offset, random.chance(50) ? &loan : nullptr), 0);
      const uint8_t* got = loan.data != nullptr ? loan.data : data.data();
      CHECK(std::memcmp(got, model.data() + offset, length) == 0);
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
  MirrorFixture fixture(3, nullptr, 64 * 1024);
  REQUIRE(fixture.start());
  // Different delays on each leg, so that legs would see the writes in different orders.
  for (unsigned leg = 0; leg < 3; leg++) {
    FaultRule rule;
    rule.device = fixture.images[leg];
    rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
    rule.action = FaultAction::kDelay;
    rule.delay_nanos = (leg + 1) * kNanosPerMilli / 4;
    rule.chance_per_million = 500'000;
    rule.seed = seed() + leg;
    fixture.rules->add(rule);
  }
  for (unsigned round = 0; round < rounds(12); round++) {
    // All at once on a few blocks: the last two to land would differ between legs if nothing ordered them.
    std::vector<std::thread> writers;
    for (unsigned writer = 0; writer < 8; writer++) {
      writers.emplace_back([&fixture, writer, round] {
        Random random(seed() * 100 + round * 8 + writer);
        for (unsigned i = 0; i < 4; i++) {
          const uint64_t offset = random.below(4096);
          const std::vector<uint8_t> data(1 + random.below(8192), static_cast<uint8_t>(writer * 16 + i + 1));
          CHECK_EQ(fixture.set->write(data.data(), data.size(), offset), 0);
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
    CHECK(fixture.legs_equal());
  }
}

// A write is still under way on one leg: one that overlaps it goes to no leg before that has ended.
TEST(mirror_set, a_write_waits_for_an_earlier_one_that_it_overlaps) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  FaultRule rule;
  rule.device = fixture.images[0];
  rule.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  rule.action = FaultAction::kHang;
  rule.times = 1;
  const uint64_t hang = fixture.rules->add(rule);
  const auto earlier = pattern(8192, 1);
  const auto later = pattern(8192, 2);
  std::thread first([&] { CHECK_EQ(fixture.set->write(earlier.data(), earlier.size(), 0), 0); });
  while (fixture.rules->hits(hang) == 0) std::this_thread::yield();
  std::atomic<bool> done{false};
  std::thread second([&] {
    CHECK_EQ(fixture.set->write(later.data(), later.size(), 4096), 0);
    done = true;
  });
  // What does not overlap goes by meanwhile, often enough for the other one to have gone by too if it could.
  for (unsigned i = 0; i < 200; i++) CHECK_EQ(fixture.set->write(later.data(), 512, 65536 + i * 512), 0);
  CHECK(!done);
  fixture.rules->remove(hang);
  first.join();
  second.join();
  CHECK(fixture.legs_equal());
  std::vector<uint8_t> got(8192);
  CHECK_EQ(fixture.set->read(got.data(), got.size(), 4096), 0);
  CHECK(got == later);
}

// Legs with blocks of 512 and of 4096 bytes: what does not fill a block of 4096 is read first, on all legs alike.
TEST(mirror_set, a_read_lends_its_buffer_when_one_transfer_is_enough) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  const auto data = pattern(300000, seed());
  REQUIRE(fixture.set->write(data.data(), data.size(), 0) == 0);
  std::vector<uint8_t> copied(data.size());
  {
    ReadLoan loan;
    REQUIRE(fixture.set->read(copied.data(), 1000, 700, &loan) == 0);
    REQUIRE(loan.data != nullptr);
    CHECK(std::memcmp(loan.data, data.data() + 700, 1000) == 0);
  }
  ReadLoan none;
  REQUIRE(fixture.set->read(copied.data(), copied.size(), 0, &none) == 0);
  CHECK(none.data == nullptr);
  CHECK(copied == data);
  // A repair needs a buffer of its own: what it serves is copied.
  fixture.fault(0, IoOp::kRead, FaultAction::kError);
  ReadLoan repaired;
  REQUIRE(fixture.set->read(copied.data(), 4096, 4096, &repaired) == 0);
  CHECK(repaired.data == nullptr);
  CHECK(std::memcmp(copied.data(), data.data() + 4096, 4096) == 0);
}

TEST(mirror_set, zeroing_everything_writes_the_log_once) {
  constexpr uint64_t kBytes = uint64_t{2} << 30;  // eight pieces
  MirrorFixture fixture(2, nullptr, kBytes);
  auto log = std::make_shared<FakeLog>(kBytes / 65536);
  fixture.options.log = log;
  REQUIRE(fixture.start());
  const auto data = pattern(4096, seed());
  REQUIRE(fixture.set->write(data.data(), data.size(), kBytes - 4096) == 0);
  const unsigned before = log->writes();
  log->fail(-EIO);
  CHECK_EQ(fixture.set->zero(0, kBytes, true), -EIO);
  log->fail(0);
  std::vector<uint8_t> read(4096);
  REQUIRE(fixture.set->read(read.data(), read.size(), kBytes - 4096) == 0);
  CHECK(read == data);
  CHECK_EQ(fixture.set->zero(0, kBytes, true), 0);
  CHECK_EQ(log->writes(), before + 2);
  CHECK_EQ(fixture.set->snapshot().dirty_sync_regions, kBytes / 65536);
  REQUIRE(fixture.set->read(read.data(), read.size(), kBytes - 4096) == 0);
  CHECK(read == std::vector<uint8_t>(4096, 0));
}

TEST(mirror_set, writes_what_does_not_fill_a_block) {
  constexpr uint64_t kBytes = 256 * 1024;
  PowercutDisks disks(seed());
  auto dm_io = DmIo::create(disks.engine(), DmIoOptions{}).take();
  MirrorSetOptions options;
  options.name = "blocks";
  options.count = sectors_of(kBytes);
  options.legs = {{"small", disks.add("small", kBytes), 0}, {"large", disks.add("large", kBytes, 4096), 0}};
  options.legs[1].sector = 4;
  CHECK(!MirrorSet::create(*dm_io, options).ok());  // not at a block
  options.legs[1].sector = 0;
  auto made = MirrorSet::create(*dm_io, options);
  REQUIRE(made.ok());
  MirrorSet& set = *made.value();
  CHECK_EQ(set.block_size(), 4096u);
  Random random(seed());
  std::vector<uint8_t> model(kBytes);
  for (unsigned step = 0; step < 500; step++) {
    const uint64_t offset = random.below(kBytes);
    const uint64_t length =
        1 + random.below(std::min<uint64_t>(kBytes - offset, random.chance(90) ? 9000 : kBytes));
    if (random.chance(70)) {
      const auto data = pattern(length, random.next());
      CHECK_EQ(set.write(data.data(), length, offset), 0);
      std::memcpy(model.data() + offset, data.data(), length);
    } else if (random.chance(30)) {
      CHECK_EQ(set.zero(offset, length, random.chance(50)), 0);
      std::memset(model.data() + offset, 0, length);
    } else {
      std::vector<uint8_t> got(length);
      CHECK_EQ(set.read(got.data(), length, offset), 0);
      CHECK(std::memcmp(got.data(), model.data() + offset, length) == 0);
    }
  }
  CHECK(disks.content("small") == model);
  CHECK(disks.content("large") == model);
  set.stop();
}

}  // namespace
}  // namespace dmiofs::test
