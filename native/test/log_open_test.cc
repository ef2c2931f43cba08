// create_log and open_log on real files: what is made, what is taken over, what is refused, and what is never guessed.
#include "mirror/log_open.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "base/little_endian.h"
#include "base/unique_fd.h"
#include "harness.h"
#include "mirror/log_create.h"

using namespace dmiofs;
using namespace dmiofs::test;

namespace {

constexpr sector_t kCount = 131072;
constexpr uint64_t kSlot0 = 4096, kSlot1 = 4096 + 20480;

std::vector<uint8_t> read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(in), {});
}

void write_whole(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void poke(const std::string& path, uint64_t offset, const std::vector<uint8_t>& bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  CHECK_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
           static_cast<ssize_t>(bytes.size()));
}

struct Fixture {
  explicit Fixture(const std::string& name) : path(temp_dir() + "/" + name + ".log") {
    DmIoOptions options;
    options.ready_queues = 1;
    options.small_buffers = 2;
    options.large_buffers = 2;
    dm_io = DmIo::create(make_threads_engine(), options).take();
  }
  ~Fixture() { unlink(path.c_str()); }

  Result<LogCreation> create(bool in_sync, unsigned legs = 2) {
    CreateLogOptions options;
    options.path = path;
    options.count = kCount;
    options.in_sync = in_sync;
    for (unsigned i = 0; i < legs; i++) {
      LegRecord leg;
      leg.identity.serial = "disk" + std::to_string(i);
      options.legs.push_back(leg);
    }
    return create_log(*dm_io, options);
  }
  Result<OpenedLog> open(sector_t count = kCount, sector_t sync_region_sectors = 1024, bool writable = true) {
    OpenLogOptions options;
    options.path = path;
    options.count = count;
    options.sync_region_sectors = sync_region_sectors;
    options.writable = writable;
    return open_log(*dm_io, options);
  }
  // Opens, changes, stops in order.
  void run_once(bool clean) {
    auto opened = open();
    REQUIRE(opened.ok());
    SetRecord record = opened.value().record;
    record.generation++;
    record.clean = clean;
    CHECK_EQ(opened.value().record_store->store(record), 0);
  }
  std::string path;
  std::unique_ptr<DmIo> dm_io;
};

std::string hint_of(const Result<OpenedLog>& opened) {
  return opened.ok() ? "(opened)" : opened.error().hint;
}
bool says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  report_failure(__FILE__, __LINE__, "\"" + text + "\" does not say \"" + part + "\"");
  return false;
}

}  // namespace

TEST(log_open, a_new_log_of_equal_legs_is_clean) {
  Fixture f("new");
  auto created = f.create(true);
  REQUIRE(created.ok());
  CHECK(created.value() == LogCreation::kCreated);
  struct stat st;
  CHECK_EQ(stat(f.path.c_str(), &st), 0);
  CHECK_EQ(st.st_mode & 07777, 0600u);
  CHECK(static_cast<uint64_t>(st.st_blocks) * 512 >=
        static_cast<uint64_t>(st.st_size));  // no hole: no space to run out of
  auto opened = f.open();
  REQUIRE(opened.ok());
  const OpenedLog& log = opened.value();
  CHECK_EQ(log.log->count_dirty(), 0u);
  CHECK(!log.all_dirty && !log.written_by_other && log.record.clean);
  CHECK_EQ(log.record.generation, 1u);
  CHECK_EQ(log.record.start_count, 1u);
  REQUIRE(log.record.legs.size() == 2);
  CHECK(log.record.legs[1].state == LegState::kInSync);
  CHECK_EQ(log.record.legs[1].identity.serial, std::string("disk1"));
  CHECK(log.record.legs[0].uuid != log.record.legs[1].uuid);
}

TEST(log_open, a_new_log_of_other_legs_is_dirty_and_leg_0_is_the_source) {
  Fixture f("dirty");
  REQUIRE(f.create(false, 3).ok());
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK_EQ(opened.value().log->count_dirty(), 128u);
  CHECK(opened.value().record.legs[0].state == LegState::kInSync);
  CHECK(opened.value().record.legs[1].state == LegState::kRebuilding);
  CHECK(opened.value().record.legs[2].state == LegState::kRebuilding);
}

TEST(log_open, creating_never_overwrites) {
  Fixture f("never");
  REQUIRE(f.create(true).ok());
  const std::vector<uint8_t> before = read_whole(f.path);
  auto again = f.create(false);
  REQUIRE(!again.ok());
  CHECK_EQ(again.error().err, EEXIST);
  CHECK(read_whole(f.path) == before);

  // A log of dmiofs for another number of sync regions, and something that is no log at all.
  std::vector<uint8_t> text(100'000);
  text[99'999] = 1;
  write_whole(f.path, text);
  CHECK_EQ(f.create(true).error().err, EINVAL);
  CHECK(read_whole(f.path) == text);
  // While it is in use, not even looked at.
  unlink(f.path.c_str());
  REQUIRE(f.create(true).ok());
  auto opened = f.open();
  CHECK_EQ(f.create(true).error().err, EBUSY);
}

TEST(log_open, a_blank_file_is_laid_out) {
  Fixture f("blank");
  for (const size_t size : {size_t{0}, size_t{100}, size_t{5000}, size_t{1} << 20}) {
    write_whole(f.path, std::vector<uint8_t>(size));
    auto created = f.create(true);
    if (!created.ok()) report_failure(__FILE__, __LINE__, created.error().message());
    auto opened = f.open();
    CHECK(opened.ok());
    CHECK_EQ(opened.value().log->count_dirty(), 0u);
  }
}

TEST(log_open, nothing_is_left_when_creating_fails) {
  Fixture f("fails");
  CreateLogOptions options;
  options.path = temp_dir() + "/no-such-folder/x.log";
  options.count = kCount;
  options.legs.resize(2);
  CHECK_EQ(create_log(*f.dm_io, options).error().err, ENOENT);
  options.path = f.path;
  options.sync_region_sectors = 1000;
  CHECK_EQ(create_log(*f.dm_io, options).error().err, EINVAL);
  options.sync_region_sectors = 1024;
  options.legs.resize(65);
  CHECK_EQ(create_log(*f.dm_io, options).error().err, EINVAL);
  CHECK(access(f.path.c_str(), F_OK) != 0);
}

TEST(log_open, the_log_of_a_kernel_mirror_is_taken_over) {
  Fixture f("kernel");
  const std::vector<uint8_t> image = read_whole("native/test/kernel_logs/02-dirty.bin");
  REQUIRE(image.size() == 4096);
  write_whole(f.path, image);
  says(hint_of(f.open()), "without the record of a set");
  auto created = f.create(true);
  if (!created.ok()) report_failure(__FILE__, __LINE__, created.error().message());
  CHECK(created.value() == LogCreation::kAdopted);
  const std::vector<uint8_t> after = read_whole(f.path);
  CHECK(std::equal(image.begin(), image.begin() + kLogOwnerOffset, after.begin()));
  CHECK(std::equal(image.begin() + kLogBitsOffset, image.begin() + 1536, after.begin() + kLogBitsOffset));
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK(opened.value().log->dirty_sync_regions() == std::vector<uint64_t>({3, 40, 41, 127}));
  CHECK(opened.value().record.legs[0].state == LegState::kInSync);
  CHECK(opened.value().record.legs[1].state == LegState::kRebuilding);
}

TEST(log_open, a_log_that_is_missing_blank_or_no_log_is_refused) {
  Fixture f("missing");
  CHECK_EQ(f.open().error().err, ENOENT);
  says(hint_of(f.open()), "dmiofs init");
  write_whole(f.path, std::vector<uint8_t>(100'000));
  CHECK_EQ(f.open().error().err, ENODATA);
  says(hint_of(f.open()), "blank");
  std::vector<uint8_t> text(100'000, 'x');
  write_whole(f.path, text);
  CHECK_EQ(f.open().error().err, EINVAL);
  CHECK(read_whole(f.path) == text);
}

TEST(log_open, a_record_that_cannot_be_trusted_is_refused) {
  Fixture f("record");
  REQUIRE(f.create(true).ok());
  f.run_once(false);  // generation 2 in slot 1
  {
    auto opened = f.open();
    CHECK_EQ(opened.value().record.generation, 2u);
  }
  poke(f.path, kSlot1 + 300, {0xff});
  {
    // Torn by a power cut: the one before it counts.
    auto opened = f.open();
    REQUIRE(opened.ok());
    CHECK_EQ(opened.value().record.generation, 1u);
  }
  poke(f.path, kSlot0 + 300, {0xff});
  auto refused = f.open();
  CHECK_EQ(refused.error().err, EUCLEAN);
  says(hint_of(refused), "checksum is wrong in both slots");
}

TEST(log_open, a_log_cut_off_is_refused) {
  for (const off_t size : {30'000, 5000, 100}) {
    Fixture f("cut");
    REQUIRE(f.create(true).ok());
    CHECK_EQ(truncate(f.path.c_str(), size), 0);
    auto refused = f.open();
    CHECK_EQ(refused.error().err, EUCLEAN);
    says(hint_of(refused), "cut off");
  }
}

TEST(log_open, slots_of_two_sets_are_refused) {
  Fixture f("two"), g("three");
  REQUIRE(f.create(true).ok());
  REQUIRE(g.create(true).ok());
  f.run_once(false);
  g.run_once(false);
  const std::vector<uint8_t> other = read_whole(g.path);
  poke(f.path, kSlot1, std::vector<uint8_t>(other.begin() + kSlot1, other.begin() + kSlot1 + 4096));
  auto refused = f.open();
  CHECK_EQ(refused.error().err, EUCLEAN);
  says(hint_of(refused), "different sets");
}

TEST(log_open, bits_of_another_set_are_refused) {
  Fixture f("bits"), g("other");
  REQUIRE(f.create(true).ok());
  REQUIRE(g.create(true).ok());
  const std::vector<uint8_t> other = read_whole(g.path);
  poke(f.path, 0, std::vector<uint8_t>(other.begin(), other.begin() + kSlot0));
  CHECK_EQ(f.open().error().err, EUCLEAN);
}

TEST(log_open, a_log_whose_record_is_lost_is_not_taken_for_a_kernels) {
  Fixture f("lost");
  REQUIRE(f.create(true).ok());
  CHECK_EQ(truncate(f.path.c_str(), kSlot0), 0);
  says(hint_of(f.open()), "cut off");
  CHECK_EQ(f.create(true).error().err, EUCLEAN);
  CHECK_EQ(truncate(f.path.c_str(), 45056), 0);  // slots full of zeros
  says(hint_of(f.open()), "record of the set is lost");
  CHECK_EQ(f.create(true).error().err, EUCLEAN);
}

TEST(log_open, a_log_that_someone_made_anew_is_all_dirty) {
  Fixture f("anew");
  REQUIRE(f.create(true).ok());
  poke(f.path, kLogOwnerOffset,
       std::vector<uint8_t>(24));  // as a tool that writes a blank log for the kernel does
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK(opened.value().all_dirty && opened.value().written_by_other);
}

TEST(log_open, a_damaged_header_makes_everything_dirty_and_keeps_the_trust) {
  Fixture f("header");
  REQUIRE(f.create(true).ok());
  poke(f.path, 0, {0});
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK(opened.value().all_dirty);
  CHECK_EQ(opened.value().log->count_dirty(), 128u);
  CHECK(opened.value().record.legs[1].state == LegState::kInSync);
}

TEST(log_open, what_a_kernel_did_after_a_clean_stop_is_noticed) {
  Fixture f("foreign");
  REQUIRE(f.create(true).ok());
  f.run_once(true);
  {
    auto same = f.open();
    CHECK(!same.value().written_by_other);
  }
  // As the kernel leaves it after a power cut: bits of regions under write are 0.
  poke(f.path, 1024, {0xf7});
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK(opened.value().written_by_other);
  CHECK(!opened.value().all_dirty);
  CHECK(opened.value().log->dirty_sync_regions() == std::vector<uint64_t>({3}));
}

TEST(log_open, a_kernel_with_another_region_size_makes_everything_dirty) {
  Fixture f("regions");
  REQUIRE(f.create(true).ok());
  std::vector<uint8_t> count(8);
  store_le64(count.data(), 256);
  poke(f.path, 8, count);
  auto opened = f.open();
  REQUIRE(opened.ok());
  CHECK(opened.value().all_dirty && opened.value().written_by_other);
  CHECK_EQ(opened.value().log->count_dirty(), 128u);
}

TEST(log_open, another_region_size_or_set_size_lays_the_log_out_anew) {
  // In place, and, where the record has to move, as a new file: 65536 regions need three blocks of bits instead of one.
  for (const sector_t sync_region_sectors : {sector_t{512}, sector_t{2048}, sector_t{2}}) {
    Fixture f("geometry");
    REQUIRE(f.create(true).ok());
    {
      auto opened = f.open(kCount, sync_region_sectors);
      if (!opened.ok()) report_failure(__FILE__, __LINE__, opened.error().message());
      REQUIRE(opened.ok());
      CHECK(opened.value().all_dirty);
      CHECK_EQ(opened.value().log->count_dirty(), kCount / sync_region_sectors);
      CHECK(opened.value().record.legs[1].state == LegState::kInSync);
      CHECK_EQ(opened.value().record.sync_region_sectors, sync_region_sectors);
      SetRecord record = opened.value().record;
      record.generation++;
      CHECK_EQ(opened.value().record_store->store(record), 0);
    }
    auto again = f.open(kCount, sync_region_sectors);
    REQUIRE(again.ok());
    CHECK(again.value().note.empty());
    again = Error{};
    // And back: shrinking does not bring old bits back to life.
    auto back = f.open();
    REQUIRE(back.ok());
    CHECK_EQ(back.value().log->count_dirty(), 128u);
  }
}

TEST(log_open, a_crash_between_new_bits_and_new_record_is_still_all_dirty) {
  Fixture f("between");
  REQUIRE(f.create(true).ok());
  // Opened for another size, and killed before the record was stored.
  {
    CHECK(f.open(kCount, 512).ok());
  }
  auto opened = f.open(kCount, 512);
  REQUIRE(opened.ok());
  CHECK(opened.value().all_dirty);
  opened = Error{};
  auto back = f.open();
  CHECK_EQ(back.value().log->count_dirty(), 128u);
}

TEST(log_open, for_reading_changes_nothing) {
  Fixture f("reading");
  REQUIRE(f.create(true).ok());
  const std::vector<uint8_t> before = read_whole(f.path);
  poke(f.path, 4, {1});  // version 1: would be written back as 2
  {
    auto opened = f.open(kCount, 1024, false);
    REQUIRE(opened.ok());
    CHECK_EQ(opened.value().record_store->store(opened.value().record), -EROFS);
  }
  CHECK_EQ(f.open(kCount, 2, false).error().err, EROFS);
  std::vector<uint8_t> after = read_whole(f.path);
  after[4] = 2;
  CHECK(after == before);
}

TEST(log_open, two_cannot_have_one_log) {
  Fixture f("twice");
  REQUIRE(f.create(true).ok());
  auto first = f.open();
  CHECK_EQ(f.open().error().err, EBUSY);
}
