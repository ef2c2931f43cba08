#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "mirror/comparison.h"
#include "test/mirror_fakes.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kSyncRegionBytes = 64 * 1024;

// Behind the set's back, as a device that lost a write or rotted.
void plant(MirrorFixture& fixture, unsigned leg, uint64_t offset, const std::vector<uint8_t>& data) {
  UniqueFd fd(::open(fixture.images[leg].c_str(), O_WRONLY | O_CLOEXEC));
  CHECK_EQ(
      pwrite(fd.get(), data.data(), data.size(), static_cast<off_t>(bytes_of(fixture.starts[leg]) + offset)),
      static_cast<ssize_t>(data.size()));
}
void plant(MirrorFixture& fixture, unsigned leg, uint64_t offset, uint64_t size, uint8_t fill) {
  plant(fixture, leg, offset, std::vector<uint8_t>(size, fill));
}

std::vector<DifferingRange> scrub(MirrorFixture& fixture, bool repair) {
  std::vector<DifferingRange> ranges;
  for (uint64_t at = 0; at < fixture.set->snapshot().sync_regions; at++) {
    Comparison found;
    CHECK_EQ(fixture.set->compare_sync_region(at, repair, &found), 0);
    ranges.insert(ranges.end(), found.ranges.begin(), found.ranges.end());
    CHECK_EQ(found.range_count, found.ranges.size());
  }
  return ranges;
}

std::vector<uint8_t> fill_set(MirrorFixture& fixture) {
  auto data = pattern(MirrorFixture::kSetBytes, 21);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  return data;
}

TEST(sha256, gives_what_fips_180_says) {
  const auto of = [](const std::string& text) {
    Sha256 hash;
    hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return hex(hash.digest());
  };
  CHECK_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_EQ(of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // In pieces of any length it is the same.
  const auto data = pattern(5000, 3);
  Sha256 whole;
  whole.update(data);
  Sha256 pieces;
  for (size_t at = 0, step = 1; at < data.size(); at += step, step = step * 3 % 200 + 1)
    pieces.update({data.data() + at, std::min(step, data.size() - at)});
  CHECK(whole.digest() == pieces.digest());
}

TEST(comparison, ranges_join_where_the_same_legs_hold_the_same) {
  std::vector<uint8_t> data(3 * 4096, 1);
  std::memset(data.data() + 4096 + 512, 2, 1024);      // leg 1, blocks 1 and 2
  std::memset(data.data() + 2 * 4096 + 1536, 3, 512);  // leg 2, block 3
  std::vector<Difference> found;
  find_differences(LegPieces{data.data(), 4096, 4096, 7}, 512, 7, &found);
  REQUIRE(found.size() == 2);
  CHECK_EQ(found[0].first, 512u);
  CHECK_EQ(found[0].length, 1024u);
  CHECK_EQ(found[0].right, 5u);
  CHECK(found[0].majority);
  CHECK_EQ(found[1].first, 1536u);
  CHECK_EQ(found[1].right, 3u);
}

TEST(comparison, more_than_half_are_right_else_the_primary) {
  const auto right = [](const std::vector<uint8_t>& legs, ErrorBits votes) {
    std::vector<uint8_t> data;
    for (const uint8_t leg : legs) data.insert(data.end(), 512, leg);
    std::vector<Difference> found;
    find_differences(LegPieces{data.data(), 512, 512, error_bit(static_cast<unsigned>(legs.size())) - 1}, 512,
                     votes, &found);
    return found.size() == 1 ? found[0].right : ~ErrorBits{0};
  };
  CHECK_EQ(right({1, 2}, 3), 1u);
  CHECK_EQ(right({1, 2}, 2), 2u);  // only leg 1 may be right
  CHECK_EQ(right({1, 2, 2}, 7), 6u);
  CHECK_EQ(right({1, 2, 3}, 7), 1u);
  CHECK_EQ(right({1, 1, 2, 2}, 15), 3u);  // a half is not more than half
  CHECK_EQ(right({1, 2, 2, 2}, 15), 14u);
  CHECK_EQ(right({1, 2, 2, 3}, 15), 1u);
  CHECK_EQ(right({1, 2, 2}, 3), 1u);  // two that vote
  CHECK_EQ(right({1, 2, 2}, 0), 0u);
}

TEST(scrub, equal_legs_have_no_differences_and_nothing_is_written) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  fill_set(fixture);
  const SetInfo before = fixture.set->snapshot();
  CHECK(scrub(fixture, false).empty());
  CHECK(scrub(fixture, true).empty());
  for (unsigned leg = 0; leg < 3; leg++)
    CHECK_EQ(fixture.set->snapshot().legs[leg].writes, before.legs[leg].writes);
}

// On each leg, at the set's edges and across pieces and sync regions.
TEST(scrub, finds_what_differs_where_it_does_and_changes_nothing) {
  for (const unsigned leg : {0u, 1u, 2u}) {
    MirrorFixture fixture(3);
    REQUIRE(fixture.start());
    const auto data = fill_set(fixture);
    const uint32_t block = fixture.set->block_size();
    plant(fixture, leg, 0, block, 0xa5);
    plant(fixture, leg, 3 * block, 2 * block, 0xa6);
    plant(fixture, leg, kSyncRegionBytes - block, 2 * block, 0xa7);
    plant(fixture, leg, MirrorFixture::kSetBytes - block, block, 0xa8);
    const auto planted = fixture.leg_bytes(leg);
    const auto ranges = scrub(fixture, false);
    REQUIRE(ranges.size() == 5);
    const uint64_t sectors = sectors_of(block);
    const std::vector<sector_t> expected{0, 3 * sectors, sectors_of(kSyncRegionBytes) - sectors,
                                         sectors_of(kSyncRegionBytes),
                                         sectors_of(MirrorFixture::kSetBytes) - sectors};
    for (size_t i = 0; i < ranges.size(); i++) {
      const DifferingRange& range = ranges[i];
      CHECK_EQ(range.sector, expected[i]);
      CHECK_EQ(range.count, i == 1 ? 2 * sectors : sectors);
      CHECK_EQ(range.right, ErrorBits{7} & ~error_bit(leg));
      CHECK(range.majority);
      CHECK(!range.repaired);
      REQUIRE(range.legs.size() == 3);
      for (unsigned other = 0; other < 3; other++) {
        Sha256 hash;
        const auto& bytes = other == leg ? planted : data;
        hash.update({bytes.data() + bytes_of(range.sector), bytes_of(range.count)});
        CHECK_EQ(range.legs[other].leg, other);
        CHECK(range.legs[other].sha256 == hash.digest());
      }
    }
    CHECK(fixture.leg_bytes(leg) == planted);
  }
}

TEST(scrub, repairs_by_majority_with_three_legs) {
  MirrorFixture fixture(3);
  fixture.options.log = std::make_shared<FakeLog>(64);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  const auto data = fill_set(fixture);
  const uint32_t block = fixture.set->block_size();
  // In one sync region, so that none may be mended by copying another one's error.
  for (const unsigned leg : {0u, 1u, 2u}) plant(fixture, leg, (leg + 1) * 2 * block, block, 0xee);
  plant(fixture, 1, MirrorFixture::kSetBytes - 2 * block, block, 0xee);
  const auto ranges = scrub(fixture, true);
  CHECK_EQ(ranges.size(), 4u);
  for (const DifferingRange& range : ranges) CHECK(range.repaired && range.majority);
  CHECK(fixture.leg_bytes(0) == data);
  CHECK(fixture.legs_equal());
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kComplete);
  CHECK_EQ(info.in_sync_regions, info.sync_regions);
  CHECK_EQ(info.read_leg, 0);
  for (const LegRecord& leg : store->stored().legs) CHECK_EQ(leg.state, LegState::kInSync);
  CHECK(scrub(fixture, false).empty());
}

TEST(scrub, repairs_from_the_primary_with_two_legs) {
  MirrorFixture fixture(2);
  fixture.options.log = std::make_shared<FakeLog>(64);
  REQUIRE(fixture.start());
  const auto data = fill_set(fixture);
  plant(fixture, 1, 8192, 4096, 0xee);
  const auto ranges = scrub(fixture, true);
  REQUIRE(ranges.size() == 1);
  CHECK(ranges[0].repaired && !ranges[0].majority);
  CHECK_EQ(ranges[0].right, 1u);
  CHECK(fixture.leg_bytes(1) == data);
}

// Only the legs that differ, only where they do, and dirty first.
TEST(scrub, a_repair_writes_only_what_differs) {
  MirrorFixture fixture(3);
  fixture.options.clean_after = 0;
  auto log = std::make_shared<FakeLog>(64);
  fixture.options.log = log;
  REQUIRE(fixture.start());
  fill_set(fixture);
  while (fixture.set->snapshot().dirty_sync_regions > 0) std::this_thread::yield();
  plant(fixture, 2, 8192, 4096, 0xee);
  FaultRule outside;
  outside.ops = 1u << static_cast<unsigned>(IoOp::kWrite);
  outside.device = fixture.images[2];
  outside.last_byte = bytes_of(fixture.starts[2]) + 8191;
  fixture.rules->add(outside);
  for (const unsigned leg : {0u, 1u}) fixture.fault(leg, IoOp::kWrite, FaultAction::kError);
  const unsigned marks = log->marks();
  CHECK_EQ(scrub(fixture, true).size(), 1u);
  CHECK_EQ(log->marks(), marks + 1);
  CHECK(fixture.legs_equal());
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  log->fail(-ENOSPC);
  while (fixture.set->snapshot().dirty_sync_regions > 0) {
    log->fail(0);
    std::this_thread::yield();
  }
  log->fail(-ENOSPC);
  plant(fixture, 2, 8192, 4096, 0xee);
  const auto ranges = scrub(fixture, true);
  REQUIRE(ranges.size() == 1);
  CHECK(!ranges[0].repaired);
  CHECK(!fixture.legs_equal());
}

// While the wrong lowest leg is written, the record names another source: a start after a crash there does not
// make all legs wrong.
TEST(scrub, a_wrong_lowest_leg_is_not_the_source_while_it_is_repaired) {
  MirrorFixture fixture(3);
  auto log = std::make_shared<FakeLog>(64);
  auto store = std::make_shared<FakeStore>();
  fixture.options.log = log;
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  const auto data = fill_set(fixture);
  plant(fixture, 0, 8192, 4096, 0xee);
  const uint64_t hang = fixture.fault(0, IoOp::kWrite, FaultAction::kHang);
  Comparison found;
  std::thread scrubber([&] { CHECK_EQ(fixture.set->compare_sync_region(0, true, &found), 0); });
  while (fixture.rules->hits(hang) == 0) std::this_thread::yield();
  const SetRecord crashed = store->stored();
  REQUIRE(crashed.legs.size() == 3);
  CHECK_EQ(crashed.legs[0].state, LegState::kRebuilding);
  CHECK_EQ(crashed.legs[1].state, LegState::kInSync);
  CHECK(log->dirty(0));
  fixture.rules->remove(hang);
  scrubber.join();
  CHECK_EQ(found.repaired_count, 1u);
  CHECK_EQ(store->stored().legs[0].state, LegState::kInSync);
  fixture.set->stop();
  fixture.set.reset();
  // The start after that crash, with the leg half written.
  plant(fixture, 0, 8192, 2048, 0xee);
  fixture.options.record = crashed;
  CHECK_EQ(log->mark(0, 0), 0);
  REQUIRE(fixture.start());
  CHECK_EQ(fixture.set->snapshot().read_leg, 1);
  CHECK(fixture.recover_all());
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  CHECK(fixture.legs_equal());
  CHECK(fixture.leg_bytes(2) == data);
}

// A leg that comes in while legs are aside lacks what it missed of that sync region: it is copied to it.
TEST(scrub, a_leg_that_comes_in_during_a_repair_gets_all_that_it_missed) {
  MirrorFixture fixture(4);
  fixture.options.log = std::make_shared<FakeLog>(64);
  fixture.options.record_store = std::make_shared<FakeStore>();
  REQUIRE(fixture.start());
  auto data = fill_set(fixture);
  CHECK_EQ(fixture.set->fail_leg(3), 0);
  const auto missed = pattern(4096, 77);
  CHECK_EQ(fixture.set->write(missed.data(), missed.size(), 16384), 0);
  std::memcpy(data.data() + 16384, missed.data(), missed.size());
  plant(fixture, 0, 8192, 4096, 0xee);
  const uint64_t hang = fixture.fault(0, IoOp::kFlush, FaultAction::kHang);
  Comparison found;
  std::thread scrubber([&] { CHECK(fixture.set->compare_sync_region(0, true, &found) >= 0); });
  while (fixture.rules->hits(hang) == 0) std::this_thread::yield();
  // It waits for the flush, and comes before what follows that.
  std::thread coming([&] { CHECK_EQ(fixture.set->begin_rebuild(3, std::nullopt, false), 0); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  fixture.rules->remove(hang);
  scrubber.join();
  coming.join();
  CHECK_EQ(found.repaired_count, 1u);
  CHECK(fixture.recover_all());
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  CHECK(fixture.leg_bytes(0) == data);
  CHECK(fixture.legs_equal());
}

TEST(scrub, a_leg_that_cannot_step_aside_is_not_written) {
  MirrorFixture fixture(3);
  fixture.options.log = std::make_shared<FakeLog>(64);
  auto store = std::make_shared<FakeStore>();
  fixture.options.record_store = store;
  REQUIRE(fixture.start());
  fill_set(fixture);
  plant(fixture, 0, 8192, 4096, 0xee);
  const auto before = fixture.leg_bytes(0);
  store->fail(-EIO);
  const auto ranges = scrub(fixture, true);
  REQUIRE(ranges.size() == 1);
  CHECK(!ranges[0].repaired);
  CHECK(fixture.leg_bytes(0) == before);
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
  store->fail(0);
  CHECK_EQ(scrub(fixture, true).size(), 1u);
  CHECK(fixture.legs_equal());
}

// No write that is under way looks like a difference.
TEST(scrub, finds_nothing_false_under_writers) {
  MirrorFixture fixture(3);
  REQUIRE(fixture.start());
  fill_set(fixture);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (unsigned t = 0; t < 3; t++) {
    writers.emplace_back([&fixture, &stop, t] {
      Random random(seed() + t);
      while (!stop) {
        const auto data = pattern(1 + random.below(9000), random.next());
        const uint64_t at = random.below(MirrorFixture::kSetBytes - 9000);
        if (random.chance(10))
          CHECK_EQ(fixture.set->zero(at, data.size(), random.chance(50)), 0);
        else
          CHECK_EQ(fixture.set->write(data.data(), data.size(), at), 0);
      }
    });
  }
  for (unsigned round = 0; round < rounds(4); round++) CHECK(scrub(fixture, round % 2 == 1).empty());
  stop = true;
  for (std::thread& writer : writers) writer.join();
  CHECK(fixture.legs_equal());
}

// Repairs and writers at once: what was written last is there, on every leg.
TEST(scrub, a_repair_loses_no_write) {
  MirrorFixture fixture(3);
  fixture.options.log = std::make_shared<FakeLog>(64);
  fixture.options.record_store = std::make_shared<FakeStore>();
  REQUIRE(fixture.start());
  auto model = fill_set(fixture);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Random random(seed());
    while (!stop) {
      const auto data = pattern(1 + random.below(6000), random.next());
      const uint64_t at = random.below(kSyncRegionBytes * 2 - 6000);
      CHECK_EQ(fixture.set->write(data.data(), data.size(), at), 0);
      std::memcpy(model.data() + at, data.data(), data.size());
    }
  });
  Random random(seed() + 1);
  for (unsigned round = 0; round < rounds(60); round++) {
    // Where nobody writes, of the same and of other sync regions.
    const uint64_t at =
        round % 2 == 0 ? kSyncRegionBytes * 2 + random.below(20) * 4096 : kSyncRegionBytes * 4;
    plant(fixture, static_cast<unsigned>(random.below(3)), at, 4096, static_cast<uint8_t>(round));
    for (uint64_t sync_region = 0; sync_region < 6; sync_region++) {
      Comparison found;
      CHECK_EQ(fixture.set->compare_sync_region(sync_region, true, &found), 0);
      CHECK_EQ(found.range_count, found.repaired_count);
    }
  }
  stop = true;
  writer.join();
  CHECK(fixture.leg_bytes(0) == model);
  CHECK(fixture.legs_equal());
}

TEST(scrub, a_leg_that_cannot_be_read_is_repaired_as_in_any_read) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  fill_set(fixture);
  FaultRule rule;
  rule.device = fixture.images[1];
  rule.ops = 1u << static_cast<unsigned>(IoOp::kRead);
  rule.times = 1;
  fixture.rules->add(rule);
  CHECK(scrub(fixture, false).empty());
  const SetInfo info = fixture.set->snapshot();
  CHECK_EQ(info.state, SetState::kComplete);
  CHECK_EQ(info.legs[1].repaired_reads, 1u);
  CHECK_EQ(info.read_bits, 2u);
}

TEST(scrub, a_leg_that_fails_meanwhile_is_out_and_the_others_are_compared) {
  for (const unsigned leg : {0u, 2u}) {
    MirrorFixture fixture(3);
    REQUIRE(fixture.start());
    fill_set(fixture);
    plant(fixture, 1, 8192, 4096, 0xee);
    fixture.fault(leg, IoOp::kRead, FaultAction::kError);
    const auto ranges = scrub(fixture, false);
    REQUIRE(ranges.size() == 1);
    CHECK_EQ(ranges[0].legs.size(), 2u);
    CHECK_EQ(fixture.set->snapshot().legs[leg].state, LegState::kFailed);
    CHECK_EQ(fixture.told(SetEventKind::kLegFailed), 1u);
  }
}

TEST(scrub, a_leg_that_hangs_is_out) {
  MirrorFixture fixture(3);
  fixture.options.io_timeout = 50 * kNanosPerMilli;
  REQUIRE(fixture.start());
  fill_set(fixture);
  plant(fixture, 2, 8192, 4096, 0xee);
  fixture.fault(0, IoOp::kRead, FaultAction::kHang);
  const auto ranges = scrub(fixture, true);
  REQUIRE(ranges.size() == 1);
  CHECK(ranges[0].repaired);
  CHECK_EQ(ranges[0].right, 2u);
  CHECK_EQ(fixture.set->snapshot().legs[0].state, LegState::kFailed);
  CHECK(fixture.leg_bytes(1) == fixture.leg_bytes(2));
}

TEST(scrub, a_leg_that_cannot_be_repaired_is_out) {
  // A write that fails; one that is reported done and never arrives.
  for (const FaultAction action : {FaultAction::kError, FaultAction::kDrop}) {
    for (const unsigned leg : {0u, 1u}) {
      MirrorFixture fixture(3);
      fixture.options.log = std::make_shared<FakeLog>(64);
      auto store = std::make_shared<FakeStore>();
      fixture.options.record_store = store;
      REQUIRE(fixture.start());
      const auto data = fill_set(fixture);
      plant(fixture, leg, 8192, 4096, 0xee);
      fixture.fault(leg, IoOp::kWrite, action);
      const auto ranges = scrub(fixture, true);
      REQUIRE(ranges.size() == 1);
      CHECK(!ranges[0].repaired);
      const SetInfo info = fixture.set->snapshot();
      CHECK_EQ(info.legs[leg].state, LegState::kFailed);
      CHECK_EQ(info.in_sync_regions, info.sync_regions);
      CHECK_EQ(store->stored().legs[leg].state, LegState::kFailed);
      std::vector<uint8_t> got(data.size());
      CHECK_EQ(fixture.set->read(got.data(), got.size(), 0), 0);
      CHECK(got == data);
    }
  }
}

TEST(scrub, what_is_not_in_sync_is_no_difference) {
  MirrorFixture fixture(2);
  REQUIRE(fixture.start());
  Comparison found;
  CHECK_EQ(fixture.set->fail_leg(1), 0);
  CHECK_EQ(fixture.set->compare_sync_region(0, false, &found), 1);  // one leg
  const auto data = pattern(4096, 4);
  CHECK_EQ(fixture.set->write(data.data(), data.size(), 0), 0);
  CHECK_EQ(fixture.set->begin_rebuild(1, std::nullopt, false), 0);
  CHECK_EQ(fixture.set->compare_sync_region(0, true, &found), 1);  // not yet copied
  CHECK_EQ(fixture.set->compare_sync_region(1, false, &found), 0);
  CHECK_EQ(found.range_count, 0u);
  CHECK(fixture.recover_all());
  CHECK_EQ(fixture.set->compare_sync_region(0, false, &found), 0);
  CHECK_EQ(found.range_count, 0u);
}

TEST(scrub, tells_a_bounded_number_of_ranges_and_counts_all) {
  MirrorFixture fixture(2);
  fixture.options.sync_region_sectors = 8192;  // the whole set
  REQUIRE(fixture.start());
  fill_set(fixture);
  const uint64_t step = 2 * uint64_t{fixture.set->block_size()};
  auto other = fixture.leg_bytes(1);
  for (uint64_t at = 0; at < other.size(); at += step) other[at] ^= 1;
  plant(fixture, 1, 0, other);
  Comparison found;
  CHECK_EQ(fixture.set->compare_sync_region(0, true, &found), 0);
  CHECK_EQ(found.range_count, other.size() / step);
  CHECK_EQ(found.repaired_count, found.range_count);
  CHECK_EQ(found.ranges.size(), std::min<uint64_t>(found.range_count, Comparison::kMostRanges));
  CHECK(fixture.legs_equal());
}

TEST(scrub, legs_that_come_and_go_meanwhile_end_equal) {
  MirrorFixture fixture(3);
  fixture.options.log = std::make_shared<FakeLog>(64);
  fixture.options.record_store = std::make_shared<FakeStore>();
  REQUIRE(fixture.start());
  const auto data = fill_set(fixture);
  std::atomic<bool> stop{false};
  std::thread scrubber([&] {
    for (uint64_t at = 0; !stop; at++) {
      Comparison found;
      CHECK(fixture.set->compare_sync_region(at % 16, true, &found) >= 0);
    }
  });
  Random random(seed());
  for (unsigned turn = 0; turn < rounds(20); turn++) {
    plant(fixture, static_cast<unsigned>(random.below(3)), random.below(16) * kSyncRegionBytes, 4096,
          static_cast<uint8_t>(turn));
    const auto leg = static_cast<unsigned>(random.below(3));
    const int err = fixture.set->fail_leg(leg);
    CHECK(err == 0 || err == -EALREADY);
    CHECK_EQ(fixture.set->begin_rebuild(leg, std::nullopt, random.chance(50)), 0);
    while (fixture.set->snapshot().state != SetState::kComplete) CHECK(fixture.recover_all());
  }
  stop = true;
  scrubber.join();
  CHECK(fixture.recover_all());
  scrub(fixture, true);
  CHECK(fixture.legs_equal());
  CHECK_EQ(fixture.set->snapshot().state, SetState::kComplete);
}

}  // namespace
}  // namespace dmiofs::test
