// The dm-io core against a model in memory: random I/O regions, the three kinds of memory, failures, sync and async, one and many in flight, on each
// engine, with logical blocks of 512 and 4096 bytes.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "dmio/dm_io.h"
#include "engine/fault.h"
#include "test/harness.h"
#include "test/mirror_fixture.h"

namespace dmiofs::test {
namespace {

constexpr sector_t kDiskSectors = 512;
constexpr unsigned kDisks = 3;

struct Disks {
  std::shared_ptr<FaultRules> rules = std::make_shared<FaultRules>();
  std::unique_ptr<DmIo> dm_io;
  std::vector<std::string> paths;
  std::vector<std::shared_ptr<Device>> devices;
  std::vector<std::vector<uint8_t>> model;
  uint32_t block;

  Disks(std::shared_ptr<Engine> engine, uint32_t block_size) : block(block_size) {
    dm_io = DmIo::create(make_fault_engine(std::move(engine), rules), DmIoOptions{}).take();
    for (unsigned i = 0; i < kDisks; i++) {
      paths.push_back(make_image("dmio" + std::to_string(i), bytes_of(kDiskSectors)));
      auto opened = Device::open(paths[i], DeviceOpen{});
      DeviceInfo info = opened.value()->info();
      info.logical_block_size = block;
      info.memory_align = block;
      devices.push_back(Device::wrap(UniqueFd(::dup(opened.value()->fd())), info));
      model.emplace_back(bytes_of(kDiskSectors), 0);
    }
  }
};

// Memory of one of the three kinds, at odd addresses, that holds `data`.
struct Memory {
  std::vector<uint8_t> raw;
  std::vector<PageList> pages;
  std::vector<BioVec> vecs;
  MemoryCursor cursor = MemoryCursor::vm(nullptr, 0);

  Memory(Random& random, const std::vector<uint8_t>& data) {
    const uint64_t kind = random.below(3);
    if (kind == 0) {
      const size_t offset = random.below(8) * 512;
      const size_t count = (data.size() + offset + kPageSize - 1) / kPageSize + 1;
      raw.resize(count * kPageSize + 64);
      uint8_t* base = raw.data() + random.below(64);
      std::copy(data.begin(), data.end(), base + offset);
      for (size_t i = 0; i < count; i++) pages.push_back({nullptr, base + i * kPageSize});
      for (size_t i = 0; i + 1 < count; i++) pages[i].next = &pages[i + 1];
      cursor = MemoryCursor::page_list(pages.data(), offset);
    } else if (kind == 1) {
      raw.resize(data.size() * 2 + 4096 * 64);
      size_t at = 0;
      size_t where = random.below(512);
      while (at < data.size()) {
        const size_t length = std::min<size_t>((1 + random.below(20)) * 512, data.size() - at);
        std::copy_n(data.data() + at, length, raw.data() + where);
        vecs.push_back({raw.data() + where, length, 0});
        at += length;
        where += length + random.below(3);
      }
      cursor = MemoryCursor::bvec(vecs.data(), vecs.size());
    } else {
      raw.resize(data.size() + 16);
      const size_t shift = random.below(16);
      std::copy(data.begin(), data.end(), raw.data() + shift);
      cursor = MemoryCursor::vm(raw.data() + shift, data.size());
    }
  }

  std::vector<uint8_t> look(size_t bytes) const {
    std::vector<uint8_t> out;
    MemoryCursor at = cursor;
    while (out.size() < bytes) {
      const MemoryCursor::Piece piece = at.piece();
      const size_t now = std::min(piece.length, bytes - out.size());
      out.insert(out.end(), piece.data, piece.data + now);
      at.advance(now);
    }
    return out;
  }
};

struct Wait {
  std::atomic<int> calls{0};
  DmIoResult result;
};

DmIoResult run(Disks& disks, bool async, IoOp op, std::span<const IoRegion> where, MemoryCursor memory) {
  Wait wait;
  if (!async) {
    CHECK_EQ(disks.dm_io->sync(op, where, memory, &wait.result), 0);
    return wait.result;
  }
  const int err = disks.dm_io->async(
      op, where, memory,
      [](ErrorBits bits, const DmIoResult& result, void* context) {
        auto* waiting = static_cast<Wait*>(context);
        CHECK_EQ(bits, result.error_bits);
        waiting->result = result;
        waiting->calls.fetch_add(1);
        waiting->calls.notify_all();
      },
      &wait);
  CHECK_EQ(err, 0);
  wait.calls.wait(0);
  CHECK_EQ(wait.calls.load(), 1);
  return wait.result;
}

void play(Disks& disks, Random& random, unsigned steps) {
  const sector_t unit = sectors_of(disks.block);
  for (unsigned step = 0; step < steps; step++) {
    const uint64_t kind = random.below(6);
    const IoOp op = kind < 2            ? IoOp::kRead
                    : kind < 5          ? IoOp::kWrite
                    : random.chance(50) ? IoOp::kWriteZeroes
                                        : IoOp::kFlush;
    // A disk at most once, so that what lands where is certain.
    std::vector<unsigned> order = {0, 1, 2};
    std::swap(order[0], order[random.below(3)]);
    std::vector<IoRegion> where;
    sector_t longest = 0;
    const size_t count = op == IoOp::kRead ? 1 : random.below(kDisks + 1);
    for (size_t i = 0; i < count; i++) {
      const sector_t sector = random.below(kDiskSectors / unit) * unit;
      const sector_t length = std::min<sector_t>(random.below(150 / unit + 1) * unit, kDiskSectors - sector);
      where.push_back({disks.devices[order[i]], sector, length});
      longest = std::max(longest, length);
    }
    const std::vector<uint8_t> data = op == IoOp::kRead ? std::vector<uint8_t>(bytes_of(longest), 0xee)
                                                        : pattern(bytes_of(longest), random.next());
    Memory memory(random, data);
    const int failing = random.chance(20) ? static_cast<int>(random.below(kDisks)) : -1;
    if (failing >= 0) {
      FaultRule rule;
      rule.device = disks.paths[static_cast<size_t>(failing)];
      rule.ops = 1u << static_cast<unsigned>(op);
      disks.rules->add(rule);
    }
    const DmIoResult result = run(disks, random.chance(50), op, where, memory.cursor);
    disks.rules->clear();

    ErrorBits wanted = 0;
    for (size_t i = 0; i < where.size(); i++) {
      const bool failed = failing >= 0 && where[i].bdev == disks.devices[static_cast<size_t>(failing)] &&
                          (where[i].count > 0 || op == IoOp::kFlush);
      if (failed) wanted |= error_bit(static_cast<unsigned>(i));
      CHECK_EQ(result.errnos[i], failed ? -EIO : 0);
      std::vector<uint8_t>& disk = disks.model[order[i]];
      const size_t first = bytes_of(where[i].sector);
      const size_t bytes = bytes_of(where[i].count);
      if (op == IoOp::kRead) {
        const std::vector<uint8_t> expected =
            failed ? std::vector<uint8_t>(bytes, 0)
                   : std::vector<uint8_t>(disk.begin() + static_cast<std::ptrdiff_t>(first),
                                          disk.begin() + static_cast<std::ptrdiff_t>(first + bytes));
        CHECK(memory.look(bytes) == expected);
      } else if (!failed && op == IoOp::kWrite) {
        std::copy_n(data.begin(), bytes, disk.begin() + static_cast<std::ptrdiff_t>(first));
      } else if (!failed && op == IoOp::kWriteZeroes) {
        std::fill_n(disk.begin() + static_cast<std::ptrdiff_t>(first), bytes, 0);
      }
    }
    CHECK_EQ(result.error_bits, wanted);
  }
  for (unsigned i = 0; i < kDisks; i++)
    CHECK(read_image(disks.paths[i], 0, bytes_of(kDiskSectors)) == disks.model[i]);
}

TEST(dmio_model, agrees_on_every_engine_and_block_size) {
  for (const bool threads : {false, true}) {
    for (const uint32_t block : {512u, 4096u}) {
      Disks disks(threads ? make_threads_engine() : make_engine(EngineKind::kAuto).value().engine, block);
      Random random(seed() * 10 + block + threads);
      play(disks, random, rounds(150));
    }
  }
}

TEST(dmio_model, many_in_flight_beyond_the_reserve_all_end_once) {
  Disks disks(make_engine(EngineKind::kAuto).value().engine, 512);
  constexpr unsigned kRequests = 500;
  static std::atomic<unsigned> ended;
  ended = 0;
  std::vector<uint8_t> data(512, 7);
  for (unsigned i = 0; i < kRequests; i++) {
    const IoRegion where[] = {{disks.devices[0], i % kDiskSectors, 1},
                              {disks.devices[1], i % kDiskSectors, 1}};
    CHECK_EQ(disks.dm_io->async(
                 IoOp::kWrite, where, MemoryCursor::vm(data.data(), data.size()),
                 [](ErrorBits bits, const DmIoResult&, void*) {
                   CHECK_EQ(bits, 0u);
                   ended++;
                   ended.notify_all();
                 },
                 nullptr),
             0);
    if (i % 50 == 0) disks.dm_io->get(8);
    if (i % 100 == 99) CHECK_EQ(disks.dm_io->put(8), 0);
  }
  for (unsigned seen = ended; seen < kRequests; seen = ended) ended.wait(seen);
  CHECK_EQ(ended.load(), kRequests);
  CHECK_EQ(disks.dm_io->put(1000), -EINVAL);
}

TEST(dmio_model, wrong_arguments_do_nothing_and_call_nothing) {
  Disks disks(make_engine(EngineKind::kAuto).value().engine, 4096);
  std::vector<uint8_t> data(8192);
  const auto refused = [&](IoOp op, std::vector<IoRegion> where, size_t bytes) {
    return disks.dm_io->async(
        op, where, MemoryCursor::vm(data.data(), bytes),
        [](ErrorBits, const DmIoResult&, void*) { CHECK(false); }, nullptr);
  };
  CHECK_EQ(refused(IoOp::kRead, {{disks.devices[0], 0, 8}, {disks.devices[1], 0, 8}}, 4096), -EINVAL);
  CHECK_EQ(refused(IoOp::kWrite, std::vector<IoRegion>(65, {disks.devices[0], 0, 8}), 4096), -EINVAL);
  CHECK_EQ(refused(IoOp::kWrite, {{disks.devices[0], 1, 8}}, 4096), -EINVAL);
  CHECK_EQ(refused(IoOp::kWrite, {{disks.devices[0], 0, 7}}, 4096), -EINVAL);
  CHECK_EQ(refused(IoOp::kWrite, {{disks.devices[0], kDiskSectors, 8}}, 4096), -ERANGE);
  CHECK_EQ(refused(IoOp::kWrite, {{disks.devices[0], UINT64_MAX - 7, 8}}, 4096), -ERANGE);
  CHECK_EQ(refused(IoOp::kWrite, {{disks.devices[0], 0, 16}}, 4096), -EINVAL);
  CHECK_EQ(refused(IoOp::kWrite, {{nullptr, 0, 8}}, 4096), -EBADF);
}

TEST(dmio_model, a_run_stops_waiting_at_its_deadline_and_its_buffer_comes_back) {
  Disks disks(make_engine(EngineKind::kAuto).value().engine, 512);
  FaultRule rule;
  rule.device = disks.paths[1];
  rule.action = FaultAction::kHang;
  const uint64_t id = disks.rules->add(rule);
  const std::vector<IoRegion> where = {{disks.devices[0], 0, kDiskSectors},
                                       {disks.devices[1], 0, kDiskSectors}};
  {
    BufferRef buffer = disks.dm_io->acquire(4096);
    std::memset(buffer.data(), 5, 4096);
    DmIoResult result;
    disks.dm_io->run(buffer, IoOp::kWrite, where, 0, 0, 4096, 0, now_nanos() + 50 * kNanosPerMilli, &result);
    CHECK_EQ(result.late_bits, 2u);
    CHECK_EQ(result.error_bits, 2u);
    CHECK_EQ(result.errnos[1], -ETIMEDOUT);
    CHECK_EQ(result.errnos[0], 0);
  }
  CHECK_EQ(disks.dm_io->late_buffers(), 1u);
  disks.rules->remove(id);
  while (disks.dm_io->late_buffers() > 0) std::this_thread::yield();
  CHECK_EQ(read_image(disks.paths[1], 0, 1)[0], 5);
}

}  // namespace
}  // namespace dmiofs::test
