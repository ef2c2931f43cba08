// The log's bytes: header and bitset as the kernel writes them, records, and what happens when they are not
// what they should be.
#include "mirror/log_format.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "base/crc32c.h"
#include "base/little_endian.h"
#include "harness.h"
#include "mirror/core_log.h"

using namespace dmiofs;
using namespace dmiofs::test;

namespace {

using Bytes = std::vector<uint8_t>;

// What a real kernel left behind (native/test/kernel_logs/README.md); the tests run in the repository's top folder.
const std::string kKernelLogs = "native/test/kernel_logs/";

Bytes read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

Bytes make_image(uint32_t magic, uint32_t version, uint64_t nr_regions, size_t size = 4096) {
  Bytes image(size);
  store_le32(image.data(), magic);
  store_le32(image.data() + 4, version);
  store_le64(image.data() + 8, nr_regions);
  return image;
}

SetRecord sample_record(unsigned legs, uint64_t generation) {
  SetRecord record;
  record.uuid.fill(0x5a);
  record.generation = generation;
  record.count = 131072;
  record.sync_region_sectors = 1024;
  record.paused = true;
  record.speed_min = 1;
  record.speed_max = 1 << 30;
  record.start_count = 7;
  record.sync_cursor = 99;
  for (unsigned i = 0; i < legs; i++) {
    LegRecord leg;
    leg.uuid.fill(static_cast<uint8_t>(i));
    leg.identity.kind = i % 2 == 0 ? DeviceKind::kBlock : DeviceKind::kFile;
    leg.identity.dev = i * 3;
    leg.identity.inode = i * 5;
    leg.identity.serial = "serial-" + std::to_string(i);
    leg.sector = i;
    leg.count = 131072;
    leg.state = static_cast<LegState>(i % 4);
    leg.left_generation = i;
    leg.error_kinds = i % 16;
    for (unsigned kind = 0; kind < kLegErrorKinds; kind++) leg.errors.count[kind] = i + kind;
    leg.errors.last_errno = 5;
    leg.errors.last_sector = i * 7;
    leg.errors.last_time = 1700000000 + i;
    record.legs.push_back(leg);
  }
  return record;
}

Bytes sealed_slot(const SetRecord& record, unsigned slot, uint64_t offset, size_t size) {
  Bytes bytes(size);
  const size_t length = encode_record(record, bytes);
  if (length > 0)
    seal_record(std::span(bytes).first(length), slot, offset, record.clean, record.log_checksum);
  return bytes;
}

}  // namespace

TEST(log_format, crc32c_has_the_known_values) {
  const char* text = "123456789";
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text), 9);
  CHECK_EQ(crc32c(bytes), 0xE3069283u);
  CHECK_EQ(crc32c(bytes.subspan(4), crc32c(bytes.first(4))), 0xE3069283u);
  CHECK_EQ(crc32c({}), 0u);
  const Bytes zeros(32);
  CHECK_EQ(crc32c(zeros), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(log_format, the_kernels_images_are_read_as_their_index_says) {
  std::ifstream index(kKernelLogs + "INDEX.tsv");
  REQUIRE(index.good());
  std::string line;
  std::getline(index, line);
  unsigned files = 0;
  while (std::getline(index, line)) {
    std::istringstream fields(line);
    std::string file, magic, version, nr_regions, clean, dirty_list;
    fields >> file >> magic >> version >> nr_regions >> clean >> dirty_list;
    const Bytes image = read_whole(kKernelLogs + file);
    REQUIRE(image.size() == 4096);
    const ParsedLog parsed = parse_log(image);
    files++;
    if (magic != "ok") {
      CHECK(parsed.header.state == LogHeaderState::kBlank || parsed.header.state == LogHeaderState::kNotALog);
      Bytes resumed = image;
      CHECK_EQ(resume_log_image(resumed, 128, false), 0u);
      continue;
    }
    CHECK_EQ(parsed.header.version, std::stoul(version));
    CHECK_EQ(parsed.header.nr_regions, std::stoul(nr_regions));
    CHECK(parsed.record.newest == -1);  // the kernel writes none
    const uint64_t regions = std::stoul(nr_regions);
    if (parsed.header.version > 2) {
      CHECK(parsed.header.state == LogHeaderState::kUnknownVersion);
      Bytes resumed = image;
      CHECK_EQ(resume_log_image(resumed, regions, false), 0u);
      continue;
    }
    CHECK(parsed.header.state == LogHeaderState::kValid);
    CHECK_EQ(regions - parsed.dirty, std::stoul(clean));
    std::string found;
    for (uint64_t at = 0; at < regions; at++) {
      if (!log_bit_clean(image, at)) found += (found.empty() ? "" : ",") + std::to_string(at);
    }
    CHECK_EQ(found.empty() ? std::string("none") : found, dirty_list);
  }
  CHECK(files >= 15);
}

TEST(log_format, a_log_of_the_kernel_is_written_back_byte_for_byte) {
  const Bytes image = read_whole(kKernelLogs + "02-dirty.bin");
  REQUIRE(image.size() == 4096);
  Bytes resumed = image;
  CHECK_EQ(resume_log_image(resumed, 128, false), 124u);
  CHECK(resumed == image);
  // 64 of 128: what the header does not vouch for is dirty.
  Bytes grown = read_whole(kKernelLogs + "04-grown-before.bin");
  CHECK_EQ(resume_log_image(grown, 128, false), 64u);
  CHECK(log_bit_clean(grown, 63));
  CHECK(!log_bit_clean(grown, 64));
  // Version 1 becomes what the kernel made of it.
  Bytes version1 = read_whole(kKernelLogs + "04-version1-before.bin");
  CHECK_EQ(resume_log_image(version1, 128, false), 128u);
  CHECK(version1 == read_whole(kKernelLogs + "04-version1-after.bin"));
}

TEST(log_format, the_example_of_the_byte_table) {
  Bytes image = make_image(kLogMagic, 2, 16, 1536);
  image[1024] = 0xf7;
  image[1025] = 0xff;
  CHECK_EQ(image[0], 0x72);
  CHECK_EQ(image[3], 0x4d);
  const ParsedLog parsed = parse_log(image);
  CHECK(parsed.header.state == LogHeaderState::kValid);
  CHECK_EQ(parsed.dirty, 1u);
  CHECK(!log_bit_clean(image, 3));
}

TEST(log_format, bits_that_the_header_does_not_vouch_for_are_dirty) {
  for (const uint64_t regions : {1u, 7u, 8u, 33u, 64u, 65u, 101u, 1000u}) {
    for (const uint64_t vouched :
         {uint64_t{0}, uint64_t{1}, regions / 2, regions, regions + 9, uint64_t{1} << 32, kAnyNrRegions}) {
      Bytes image = make_image(kLogMagic, 2, vouched);
      std::memset(image.data() + kLogBitsOffset, 0xff, image.size() - kLogBitsOffset);
      image[500] = 0x77;  // not interpreted, kept
      const uint64_t clean = std::min(vouched, regions);
      CHECK_EQ(resume_log_image(image, regions, false), clean);
      for (uint64_t at = 0; at < (regions + 63) / 64 * 64; at++)
        CHECK_EQ(log_bit_clean(image, at), at < clean);
      const LogGeometry geometry{regions, 1, 512};
      CHECK_EQ(image[geometry.bits_end()], 0xff);  // beyond the bitset nothing is touched
      CHECK_EQ(image[500], 0x77);
      CHECK_EQ(load_le64(image.data() + 8), regions);
    }
  }
}

TEST(log_format, what_is_not_a_log_is_all_dirty) {
  for (Bytes image : {make_image(0, 0, 0), make_image(0x7269'4d72, 2, 64), make_image(kLogMagic, 3, 64),
                      make_image(kLogMagic, 0, 64)}) {
    std::memset(image.data() + kLogBitsOffset, 0xff, 64);
    CHECK_EQ(resume_log_image(image, 64, false), 0u);
    CHECK(parse_log_header(image).state == LogHeaderState::kValid);
  }
  CHECK(parse_log_header(make_image(0, 0, 0)).state == LogHeaderState::kBlank);
  CHECK(parse_log_header(Bytes(1023)).state == LogHeaderState::kNotALog);
}

TEST(log_format, the_parts_lie_where_the_table_says) {
  const LogGeometry small{131072, 1024, 512};
  CHECK_EQ(small.sync_regions(), 128u);
  CHECK_EQ(small.kernel_bytes(), 1536u);
  CHECK_EQ(small.record_offset(), 4096u);
  CHECK_EQ(small.slot_stride(), 20480u);
  CHECK_EQ(small.total_bytes(), 45056u);
  const LogGeometry native4k{131072, 1024, 4096};
  CHECK_EQ(native4k.kernel_bytes(), 4096u);
  CHECK_EQ(native4k.record_offset(), 4096u);
  const LogGeometry large{uint64_t{1} << 34, 1024, 512};  // 8 TiB
  CHECK_EQ(large.sync_regions(), uint64_t{1} << 24);
  CHECK_EQ(large.kernel_bytes(), 1024u + (1u << 21));
  CHECK_EQ(large.record_offset(), 4096u + (1u << 21));
  const LogGeometry huge_blocks{131072, 1024, 65536};
  CHECK_EQ(huge_blocks.record_offset(), 65536u);
  CHECK_EQ(huge_blocks.slot_stride(), 65536u);
  CHECK(!LogGeometry({0, 1024, 512}).check().ok());
  CHECK(!LogGeometry({1024, 1000, 512}).check().ok());
  CHECK(!LogGeometry({uint64_t{1} << 40, 2, 512}).check().ok());
  CHECK(small.check().ok());
}

TEST(record, speed_limits_of_zero_that_were_set_are_told_from_none) {
  for (const bool set : {false, true}) {
    SetRecord record = sample_record(1, 1);
    record.limits_set = set;
    record.speed_min = record.speed_max = 0;
    SetRecord read;
    REQUIRE(decode_record(sealed_slot(record, 0, 4096, 4096), 0, 4096, &read) == RecordDecode::kOk);
    CHECK_EQ(read.limits_set, set);
  }
  // As those that were set were stored before there was a flag.
  SetRecord record = sample_record(1, 1);
  SetRecord read;
  REQUIRE(decode_record(sealed_slot(record, 0, 4096, 4096), 0, 4096, &read) == RecordDecode::kOk);
  CHECK_EQ(read.limits_set, true);
}

TEST(record, is_read_as_it_was_written) {
  for (const unsigned legs : {1u, 2u, 14u, 15u, 64u}) {
    SetRecord record = sample_record(legs, 42);
    record.clean = legs % 2 == 0;
    record.log_checksum = record.clean ? 0x12345678 : 0;
    const Bytes bytes = sealed_slot(record, 1, 24576, 20480);
    SetRecord read;
    REQUIRE(decode_record(bytes, 1, 24576, &read) == RecordDecode::kOk);
    CHECK_EQ(read.generation, 42u);
    CHECK(read.uuid == record.uuid);
    CHECK_EQ(read.clean, record.clean);
    CHECK_EQ(read.paused, true);
    CHECK_EQ(read.log_checksum, record.log_checksum);
    CHECK_EQ(read.start_count, 7u);
    CHECK_EQ(read.sync_cursor, 99u);
    CHECK_EQ(read.speed_max, record.speed_max);
    REQUIRE(read.legs.size() == legs);
    for (unsigned i = 0; i < legs; i++) {
      const LegRecord& a = record.legs[i];
      const LegRecord& b = read.legs[i];
      CHECK(a.uuid == b.uuid && a.identity == b.identity && a.state == b.state && a.sector == b.sector &&
            a.count == b.count);
      CHECK_EQ(a.left_generation, b.left_generation);
      CHECK_EQ(a.error_kinds, b.error_kinds);
      CHECK(std::memcmp(a.errors.count, b.errors.count, sizeof a.errors.count) == 0);
      CHECK_EQ(a.errors.last_time, b.errors.last_time);
      CHECK_EQ(a.errors.last_sector, b.errors.last_sector);
    }
  }
  Bytes small(1000);
  CHECK_EQ(encode_record(sample_record(3, 1), small), 0u);
  Bytes large(65536);
  CHECK_EQ(encode_record(sample_record(65, 1), large), 0u);
}

TEST(record, a_serial_too_long_is_still_itself) {
  DeviceIdentity a;
  a.serial = std::string(300, 'x') + "1";
  DeviceIdentity b = a;
  b.serial.back() = '2';
  CHECK_EQ(record_identity(a).serial.size(), kMaxSerialBytes);
  CHECK(!(record_identity(a) == record_identity(b)));
  CHECK(record_identity(a) == record_identity(record_identity(a)));
}

TEST(record, every_flipped_bit_is_noticed) {
  const SetRecord record = sample_record(2, 5);
  const Bytes good = sealed_slot(record, 0, 4096, 4096);
  const size_t length = kRecordHeaderBytes + 2 * kLegRecordBytes;
  for (size_t bit = 0; bit < length * 8; bit++) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    SetRecord read;
    if (decode_record(bad, 0, 4096, &read) == RecordDecode::kOk) {
      CHECK_EQ(bit, SIZE_MAX);
      return;
    }
  }
}

TEST(record, counts_only_in_its_own_place) {
  const Bytes bytes = sealed_slot(sample_record(2, 5), 0, 4096, 4096);
  SetRecord read;
  CHECK(decode_record(bytes, 0, 4096, &read) == RecordDecode::kOk);
  CHECK(decode_record(bytes, 1, 4096, &read) == RecordDecode::kInvalid);
  CHECK(decode_record(bytes, 0, 8192, &read) == RecordDecode::kInvalid);
  CHECK(decode_record(std::span(bytes).first(600), 0, 4096, &read) == RecordDecode::kBadChecksum);
  CHECK(decode_record(std::span(bytes).first(100), 0, 4096, &read) == RecordDecode::kNotARecord);
}

TEST(record, the_newer_valid_slot_counts) {
  const LogGeometry geometry{131072, 1024, 512};
  const size_t stride = geometry.slot_stride();
  const Bytes older = sealed_slot(sample_record(2, 5), 0, geometry.slot_offset(0), stride);
  const Bytes newer = sealed_slot(sample_record(2, 6), 1, geometry.slot_offset(1), stride);
  CHECK_EQ(parse_record(older, newer, geometry).newest, 1);
  Bytes torn = newer;
  torn[700] ^= 1;
  CHECK_EQ(parse_record(older, torn, geometry).newest, 0);
  Bytes torn_too = older;
  torn_too[300] ^= 1;
  const ParsedRecord none = parse_record(torn_too, torn, geometry);
  CHECK_EQ(none.newest, -1);
  CHECK_EQ(none.problem, std::string("the checksum is wrong in both slots"));
  const Bytes blank(stride);
  CHECK_EQ(parse_record(blank, newer, geometry).newest, 1);
  CHECK_EQ(parse_record(blank, blank, geometry).problem, std::string("there is none"));

  SetRecord foreign = sample_record(2, 7);
  foreign.uuid[0] ^= 1;
  CHECK_EQ(parse_record(older, sealed_slot(foreign, 1, geometry.slot_offset(1), stride), geometry).newest,
           -1);
}

TEST(record, that_a_newer_version_wrote_is_not_passed_over) {
  const LogGeometry geometry{131072, 1024, 512};
  const size_t stride = geometry.slot_stride();
  const Bytes older = sealed_slot(sample_record(2, 5), 0, geometry.slot_offset(0), stride);
  Bytes future(stride);
  const size_t length = encode_record(sample_record(2, 6), future);
  store_le32(future.data() + 8, 2);
  seal_record(std::span(future).first(length), 1, geometry.slot_offset(1), false, 0);
  const ParsedRecord parsed = parse_record(older, future, geometry);
  CHECK_EQ(parsed.newest, -1);
  CHECK_EQ(parsed.problem, std::string("it was written by a newer dmiofs"));
}

TEST(log_format, no_bytes_can_break_the_parser) {
  Random random(seed());
  for (unsigned round = 0; round < rounds(300); round++) {
    Bytes image(random.below(60000));
    if (random.chance(50)) {
      for (uint8_t& byte : image) byte = static_cast<uint8_t>(random.next());
    }
    if (image.size() >= 16 && random.chance(80)) {
      const uint64_t counts[] = {0, 1, random.below(100000), UINT32_MAX, uint64_t{1} << 32, kAnyNrRegions};
      const Bytes header =
          make_image(kLogMagic, 1 + static_cast<uint32_t>(random.below(3)), counts[random.below(6)], 16);
      std::copy(header.begin(), header.end(), image.begin());
    }
    if (image.size() >= 45056 && random.chance(80)) {
      store_le64(image.data() + 8, 128);
      const Bytes slot = sealed_slot(
          sample_record(1 + static_cast<unsigned>(random.below(64)), random.next()), 0, 4096, 20480);
      std::copy(slot.begin(), slot.end(), image.begin() + 4096);
      for (uint64_t flips = random.below(3); flips > 0; flips--)
        image[4096 + random.below(600)] ^= static_cast<uint8_t>(random.next());
    }
    const ParsedLog parsed = parse_log(image, random.chance(50) ? 512 : 4096);
    CHECK(parsed.header.state != LogHeaderState::kValid || parsed.header.version <= 2);
  }
}

TEST(core_log, keeps_bits_in_memory) {
  CoreLog log(100, false);
  CHECK_EQ(log.count_dirty(), 0u);
  CHECK_EQ(log.mark(60, 70), 0);
  CHECK_EQ(log.mark(65, 66), 0);
  CHECK_EQ(log.count_dirty(), 11u);
  CHECK(log.dirty(60) && log.dirty(70) && !log.dirty(71) && !log.dirty(59));
  log.stage_clean(65);
  CHECK_EQ(log.write_clean(), 0);
  CHECK(!log.dirty(65));
  CHECK_EQ(log.count_dirty(), 10u);
  CHECK_EQ(CoreLog(100, true).count_dirty(), 100u);
}
