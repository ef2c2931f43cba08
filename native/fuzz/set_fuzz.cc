// A mirror set under reads, writes, zeroings and flushes of any offset and size, with legs that fail and come back: it answers as a
// plain array of bytes would, or refuses what lies outside, and its legs stay equal.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "dmio/dm_io.h"
#include "mirror/mirror_set.h"
#include "test/powercut_device.h"

namespace {

constexpr uint64_t kSectors = 64;
constexpr uint64_t kBytes = kSectors * 512;

struct World {
  dmiofs::test::PowercutDisks disks{1};
  std::unique_ptr<dmiofs::DmIo> dm_io;
  std::shared_ptr<dmiofs::MirrorSet> set;
  std::vector<uint8_t> model = std::vector<uint8_t>(kBytes);

  World() {
    dmiofs::set_log_sink([](dmiofs::LogLevel, const std::string&, void*) {}, nullptr);
    dmiofs::MirrorSetOptions options;
    options.name = "fuzz";
    options.count = kSectors;
    options.sync_region_sectors = 8;
    for (const char* name : {"a", "b"}) {
      dmiofs::LegOptions leg;
      leg.device = name;
      leg.bdev = disks.add(name, kBytes, name[0] == 'b' ? 4096 : 512);
      options.legs.push_back(leg);
    }
    dmiofs::DmIoOptions io;
    io.ready_queues = 1;
    io.max_run_bytes = 8192;
    dm_io = dmiofs::DmIo::create(disks.engine(), io).take();
    set = dmiofs::MirrorSet::create(*dm_io, std::move(options)).take();
  }
};

World& world() {
  static World* const made = new World;  // never destroyed: its background thread may run on
  return *made;
}

void check(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  const uint8_t* at;
  size_t left;
  uint64_t number() {
    uint64_t value = 0;
    const size_t take = std::min<size_t>(left, 8);
    std::memcpy(&value, at, take);
    at += take;
    left -= take;
    return value;
  }
};

void step(World& all, Input* input) {
  const uint64_t first = input->number();
  uint64_t offset = input->number();
  uint64_t size = first >> 8 & 0xffff;
  if ((first & 0x80) != 0) offset %= kBytes + 1;
  const bool inside = offset <= kBytes && size <= kBytes - offset;
  switch (first & 7) {
    case 0:
    case 1: {
      std::vector<uint8_t> data(size, static_cast<uint8_t>(first >> 24));
      const int err = all.set->write(data.data(), size, offset);
      check(err == (inside ? 0 : -EINVAL));
      if (inside)
        std::copy(data.begin(), data.end(), all.model.begin() + static_cast<std::ptrdiff_t>(offset));
      break;
    }
    case 2:
    case 3: {
      std::vector<uint8_t> data(size, 0xaa);
      const int err = all.set->read(data.data(), size, offset);
      check(err == (inside ? 0 : -EINVAL));
      if (inside)
        check(std::equal(data.begin(), data.end(), all.model.begin() + static_cast<std::ptrdiff_t>(offset)));
      break;
    }
    case 4: {
      const int err = all.set->zero(offset, size, (first & 8) != 0);
      check(err == (inside ? 0 : -EINVAL));
      if (inside) std::fill_n(all.model.begin() + static_cast<std::ptrdiff_t>(offset), size, 0);
      break;
    }
    case 5: check(all.set->flush() == 0); break;
    case 6: (void)all.set->fail_leg(static_cast<unsigned>(first >> 32)); break;
    case 7: {
      for (unsigned leg = 0; leg < 2; leg++)
        (void)all.set->begin_rebuild(leg, std::nullopt, (first & 8) != 0);
      for (int64_t at = 0; (at = all.set->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++)
        check(all.set->recover_sync_region(static_cast<uint64_t>(at)) >= 0);
      break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World& all = world();
  Input input{data, size};
  while (input.left > 0) step(all, &input);
  // Whatever happened, everybody is back and equal.
  for (unsigned leg = 0; leg < 2; leg++) (void)all.set->begin_rebuild(leg, std::nullopt, false);
  for (int64_t at = 0; (at = all.set->next_not_in_sync(static_cast<uint64_t>(at))) >= 0; at++)
    check(all.set->recover_sync_region(static_cast<uint64_t>(at)) >= 0);
  check(all.disks.content("a") == all.model && all.disks.content("b") == all.model);
  return 0;
}
