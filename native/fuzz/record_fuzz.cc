// The log's header, bitset and record slots as any bytes at all: the parsers neither crash nor read beyond, and what they take for a record is
// one that they write again with the same meaning.
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "mirror/log_format.h"

namespace {

using dmiofs::RecordDecode;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_header(std::span<const uint8_t> bytes) {
  const dmiofs::LogHeader header = dmiofs::parse_log_header(bytes);
  (void)to_string(header.state);
  if (bytes.size() < dmiofs::kLogBitsOffset + 64) return;
  std::vector<uint8_t> image(bytes.begin(), bytes.end());
  const uint64_t regions = (image.size() - dmiofs::kLogBitsOffset) / 8 * 64;
  const uint64_t clean = dmiofs::resume_log_image(image, regions, false);
  check(clean <= regions);
  check(dmiofs::parse_log_header(image).state == dmiofs::LogHeaderState::kValid);
  check(dmiofs::resume_log_image(image, regions, true) == 0);
}

// Also with a right checksum: a record that someone forged.
void check_record(std::span<const uint8_t> bytes, bool sealed) {
  std::vector<uint8_t> slot(bytes.begin(), bytes.end());
  if (sealed && slot.size() >= dmiofs::kRecordHeaderBytes) {
    uint32_t length = 0;
    std::memcpy(&length, slot.data() + 16, sizeof length);
    if (length >= dmiofs::kRecordHeaderBytes && length <= slot.size())
      dmiofs::seal_record(std::span(slot).first(length), 0, 4096, true, 1);
  }
  dmiofs::SetRecord record;
  if (dmiofs::decode_record(slot, 0, 4096, &record) != RecordDecode::kOk) return;
  std::vector<uint8_t> again(dmiofs::kMaxRecordBytes);
  const size_t length = dmiofs::encode_record(record, again);
  check(length != 0);
  dmiofs::seal_record(std::span(again).first(length), 0, 4096, record.clean, record.log_checksum);
  dmiofs::SetRecord same;
  check(dmiofs::decode_record(again, 0, 4096, &same) == RecordDecode::kOk);
  check(same.generation == record.generation && same.legs.size() == record.legs.size());
  for (size_t i = 0; i < same.legs.size(); i++) {
    check(same.legs[i].state == record.legs[i].state && same.legs[i].identity == record.legs[i].identity &&
          same.legs[i].replaces == record.legs[i].replaces);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  check_header(bytes);
  check_record(bytes, false);
  check_record(bytes, true);
  const size_t half = size / 2;
  (void)dmiofs::parse_record(bytes.first(half), bytes.subspan(half), dmiofs::LogGeometry{256, 16, 512});
  return 0;
}
