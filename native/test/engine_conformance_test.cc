// What engine.h promises of every engine.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "base/sector.h"
#include "test/engine_fixture.h"

namespace dmiofs::test {
namespace {

constexpr uint64_t kImageBytes = 256 * 1024;

std::unique_ptr<IoQueue> open_queue(Engine& engine, unsigned depth = 16) {
  return engine.open_queue(depth).take();
}

}  // namespace

ENGINE_TEST(reads_back_what_was_written) {
  auto device = new_device(kImageBytes);
  auto queue = open_queue(engine);
  for (const uint64_t length : {uint64_t{512}, uint64_t{4096}, uint64_t{65536}, kImageBytes}) {
    Buffer out(length);
    Buffer in(length, 0xee);
    out.randomise(length);
    const uint64_t offset = kImageBytes - length;
    CHECK_EQ(run_io(*queue, IoOp::kWrite, device, offset, length, out.data()), 0);
    CHECK_EQ(run_io(*queue, IoOp::kRead, device, offset, length, in.data()), 0);
    CHECK(out.text() == in.text());
    CHECK(file_content(device->info().path).substr(offset) == out.text());
  }
  CHECK_EQ(queue->in_flight(), 0u);
}

ENGINE_TEST(vectors_are_filled_in_order) {
  auto device = new_device(kImageBytes);
  auto queue = open_queue(engine);
  Buffer memory(64 * 1024, 0);
  // Pieces of different lengths, in reverse order of memory.
  std::vector<iovec> vectors;
  uint64_t length = 0;
  for (const size_t piece : {512u, 4096u, 512u, 8192u, 1024u, 16384u, 512u}) {
    length += piece;
    vectors.push_back({memory.data() + memory.size() - length, piece});
  }
  CountedIo read(IoOp::kRead, device, 1024, length);
  read.io.iov = vectors.data();
  read.io.iov_count = static_cast<unsigned>(vectors.size());
  queue->queue(&read.io);
  CHECK_EQ(queue->drain(kNoDeadline), 1u);
  CHECK_EQ(read.io.result, 0);
  std::string got;
  for (const iovec& vector : vectors) got.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
  CHECK(got == file_content(device->info().path).substr(1024, length));
}

ENGINE_TEST(most_vectors_allowed) {
  auto device = new_device(kImageBytes);
  auto queue = open_queue(engine);
  Buffer memory(kMaxIov * 512);
  std::vector<iovec> vectors;
  for (unsigned i = 0; i < kMaxIov; i++) vectors.push_back({memory.data() + i * 512, 512});
  CountedIo read(IoOp::kRead, device, 0, memory.size());
  read.io.iov = vectors.data();
  read.io.iov_count = kMaxIov;
  queue->queue(&read.io);
  queue->drain(kNoDeadline);
  CHECK_EQ(read.io.result, 0);
  CHECK(memory.text() == file_content(device->info().path).substr(0, memory.size()));
}

ENGINE_TEST(past_the_end_is_an_error) {
  auto device = new_device(8192);
  auto queue = open_queue(engine);
  Buffer memory(8192);
  CHECK_EQ(run_io(*queue, IoOp::kRead, device, 8192, 4096, memory.data()), -EIO);
  CHECK_EQ(run_io(*queue, IoOp::kRead, device, 4096, 8192, memory.data()), -EIO);  // the first half is there
}

ENGINE_TEST(errors_come_as_negative_errnos) {
  auto queue = open_queue(engine);
  Buffer memory(4096);
  DeviceInfo info;
  info.path = "closed";
  auto closed = Device::wrap(UniqueFd(), info);
  CHECK_EQ(run_io(*queue, IoOp::kRead, closed, 0, 4096, memory.data()), -EBADF);
  CHECK_EQ(run_io(*queue, IoOp::kFlush, closed, 0, 0), -EBADF);
  auto read_only = open_image(make_image(8192), DeviceOpen{.writable = false});
  CHECK_EQ(run_io(*queue, IoOp::kWrite, read_only, 0, 4096, memory.data()), -EBADF);
  CHECK_EQ(run_io(*queue, IoOp::kRead, read_only, 0, 4096, memory.data()), 0);
}

ENGINE_TEST(one_bad_io_of_a_batch_harms_no_other) {
  auto queue = open_queue(engine);
  auto good = new_device(65536);
  auto closed = Device::wrap(UniqueFd(), DeviceInfo{});
  Buffer memory(4096 * 8);
  std::vector<std::unique_ptr<CountedIo>> ios;
  for (unsigned i = 0; i < 8; i++) {
    ios.push_back(std::make_unique<CountedIo>(IoOp::kRead, i % 3 == 1 ? closed : good, i * 4096, 4096,
                                              memory.data() + i * 4096));
    queue->queue(&ios.back()->io);
  }
  CHECK_EQ(queue->drain(kNoDeadline), 8u);
  for (unsigned i = 0; i < 8; i++) CHECK_EQ(ios[i]->io.result, i % 3 == 1 ? -EBADF : 0);
}

ENGINE_TEST(flush_succeeds) {
  auto device = new_device(8192);
  auto queue = open_queue(engine);
  CHECK_EQ(run_io(*queue, IoOp::kFlush, device, 0, 0), 0);
}

ENGINE_TEST(zeroed_ranges_of_a_file_read_as_zeros) {
  for (const IoOp op : {IoOp::kWriteZeroes, IoOp::kDiscard}) {
    auto device = new_device(kImageBytes);
    auto queue = open_queue(engine);
    const std::string before = file_content(device->info().path);
    const int err = run_io(*queue, op, device, 1536, 70000 / 512 * 512);
    if (err == -EOPNOTSUPP) SKIP("the file system of the temporary folder cannot punch holes");
    CHECK_EQ(err, 0);
    std::string expected = before;
    std::fill_n(expected.begin() + 1536, 70000 / 512 * 512, '\0');
    CHECK(file_content(device->info().path) == expected);
  }
}

ENGINE_TEST(nothing_to_transfer_succeeds) {
  auto device = new_device(8192);
  auto queue = open_queue(engine);
  CountedIo read(IoOp::kRead, device, 0, 0);
  read.io.iov = nullptr;
  read.io.iov_count = 0;
  queue->queue(&read.io);
  queue->drain(kNoDeadline);
  CHECK_EQ(read.io.result, 0);
}

ENGINE_TEST(more_than_the_depth_completes_each_once) {
  constexpr unsigned kIos = 200;
  auto device = new_device(kImageBytes);
  const std::string content = file_content(device->info().path);
  auto queue = open_queue(engine, 4);
  Buffer memory(kIos * 512);
  std::vector<std::unique_ptr<CountedIo>> ios;
  Random random(seed());
  for (unsigned i = 0; i < kIos; i++) {
    ios.push_back(std::make_unique<CountedIo>(IoOp::kRead, device, random.below(kImageBytes / 512) * 512, 512,
                                              memory.data() + i * 512));
    queue->queue(&ios.back()->io);
    if (random.chance(10)) queue->submit();
  }
  unsigned submitted_early = 0;
  for (auto& io : ios) submitted_early += static_cast<unsigned>(io->completions.load());
  CHECK_EQ(queue->in_flight(), kIos - submitted_early);
  while (queue->in_flight() > 0) queue->reap(kNoDeadline);
  for (unsigned i = 0; i < kIos; i++) {
    CHECK_EQ(ios[i]->completions.load(), 1);
    CHECK_EQ(ios[i]->io.result, 0);
    CHECK(std::memcmp(memory.data() + i * 512, content.data() + ios[i]->io.offset, 512) == 0);
  }
  CHECK_EQ(queue->reap(0), 0u);
}

ENGINE_TEST(drain_waits_for_all) {
  auto device = new_device(kImageBytes);
  auto queue = open_queue(engine, 4);
  Buffer memory(16 * 4096);
  std::vector<std::unique_ptr<CountedIo>> ios;
  for (unsigned i = 0; i < 16; i++) {
    const IoOp op = i % 4 == 3 ? IoOp::kFlush : IoOp::kRead;
    ios.push_back(std::make_unique<CountedIo>(op, device, i * 4096, op == IoOp::kFlush ? 0 : 4096,
                                              memory.data() + i * 4096));
    queue->queue(&ios.back()->io);
  }
  CHECK_EQ(queue->drain(now_nanos() + 60 * kNanosPerSecond), 16u);
  CHECK_EQ(queue->in_flight(), 0u);
  for (auto& io : ios) CHECK_EQ(io->completions.load(), 1);
  CHECK_EQ(queue->drain(kNoDeadline), 0u);  // with nothing in flight it does not wait
}

ENGINE_TEST(a_completion_may_queue_the_next) {
  struct Chain {
    IoQueue* queue;
    unsigned left = 100;
    bool in_queue = false;
    bool from_queue = false;
  };
  auto device = new_device(8192);
  auto queue = open_queue(engine, 1);
  Buffer memory(4096);
  Chain chain{queue.get()};
  CountedIo io(IoOp::kRead, device, 0, 4096, memory.data());
  io.owner = &chain;
  io.then = [](CountedIo* self) {
    auto* state = static_cast<Chain*>(self->owner);
    if (state->in_queue) state->from_queue = true;
    if (--state->left == 0) return;
    state->in_queue = true;
    state->queue->queue(&self->io);
    state->in_queue = false;
  };
  queue->queue(&io.io);
  while (chain.left > 0) queue->reap(kNoDeadline);
  CHECK_EQ(io.completions.load(), 100);
  CHECK(!chain.from_queue);
  CHECK_EQ(queue->in_flight(), 0u);
}

ENGINE_TEST(nothing_completes_within_queue) {
  auto queue = open_queue(engine, 2);
  auto closed = Device::wrap(UniqueFd(), DeviceInfo{});
  Buffer memory(4096);
  std::vector<std::unique_ptr<CountedIo>> ios;
  for (unsigned i = 0; i < 8; i++) {
    ios.push_back(std::make_unique<CountedIo>(IoOp::kRead, closed, 0, 4096, memory.data()));
    queue->queue(&ios.back()->io);
  }
  for (auto& io : ios) CHECK_EQ(io->completions.load(), 0);
  queue->drain(kNoDeadline);
  for (auto& io : ios) CHECK_EQ(io->completions.load(), 1);
}

ENGINE_TEST(reap_ends_at_its_deadline) {
  auto queue = open_queue(engine);
  CHECK_EQ(queue->reap(now_nanos() + 2 * kNanosPerMilli), 0u);
  CHECK_EQ(queue->reap(0), 0u);
}

ENGINE_TEST(a_wake_before_reap_is_kept) {
  auto queue = open_queue(engine);
  for (int i = 0; i < 3; i++) {
    queue->wake();
    CHECK_EQ(queue->reap(kNoDeadline), 0u);
  }
}

ENGINE_TEST(each_wake_ends_a_wait) {
  auto queue = open_queue(engine);
  constexpr int kRounds = 300;
  std::atomic<int> round{0};
  std::thread waker([&] {
    for (int i = 0; i < kRounds; i++) {
      while (round.load() < i) std::this_thread::yield();
      queue->wake();
    }
  });
  for (int i = 0; i < kRounds; i++) {
    round.store(i);
    queue->reap(kNoDeadline);
  }
  waker.join();
}

ENGINE_TEST(a_queue_may_change_its_thread) {
  auto device = new_device(kImageBytes);
  auto queue = open_queue(engine);
  Buffer memory(8 * 4096);
  CountedIo left(IoOp::kRead, device, 0, 4096, memory.data());
  for (unsigned i = 1; i < 8; i++) {
    std::thread owner([&] {
      CHECK_EQ(run_io(*queue, IoOp::kRead, device, i * 4096, 4096, memory.data() + i * 4096), 0);
      if (i == 7) {  // ends with its I/O in flight
        queue->queue(&left.io);
        queue->submit();
      }
    });
    owner.join();
  }
  while (left.completions.load() == 0) queue->reap(kNoDeadline);
  CHECK_EQ(left.io.result, 0);
  CHECK(memory.text() == file_content(device->info().path).substr(0, memory.size()));
  queue->wake();  // armed by a thread that has ended
  queue->reap(kNoDeadline);
  std::thread waker([&] { queue->wake(); });
  queue->reap(kNoDeadline);
  waker.join();
}

ENGINE_TEST(queues_work_beside_each_other) {
  auto device = new_device(kImageBytes);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      auto queue = open_queue(engine, 2);
      const uint64_t share = kImageBytes / 4;
      Buffer out(4096);
      Buffer in(4096);
      for (unsigned i = 0; i < 25; i++) {
        out.randomise(seed() * 1000 + t * 100 + i);
        const uint64_t offset = t * share + (i % (share / 4096)) * 4096;
        CHECK_EQ(run_io(*queue, IoOp::kWrite, device, offset, 4096, out.data()), 0);
        CHECK_EQ(run_io(*queue, IoOp::kRead, device, offset, 4096, in.data()), 0);
        CHECK(out.text() == in.text());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(engine_null, completes_all_and_touches_nothing) {
  auto engine = make_null_engine();
  auto queue = engine->open_queue(2).take();
  auto device = new_device(8192);
  const std::string before = file_content(device->info().path);
  Buffer memory(4096, 0x5a);
  const std::string filled = memory.text();
  for (const IoOp op : {IoOp::kRead, IoOp::kWrite, IoOp::kFlush, IoOp::kDiscard, IoOp::kWriteZeroes}) {
    CHECK_EQ(run_io(*queue, op, device, 0, op == IoOp::kFlush ? 0 : 4096, memory.data()), 0);
  }
  CHECK(memory.text() == filled);
  CHECK(file_content(device->info().path) == before);
  queue->wake();
  CHECK_EQ(queue->reap(kNoDeadline), 0u);
  CHECK_EQ(queue->reap(now_nanos() + kNanosPerMilli), 0u);
}

TEST(engine, auto_says_which_and_why) {
  auto choice = make_engine(EngineKind::kAuto);
  REQUIRE(choice.ok());
  CHECK(!choice.value().reason.empty());
  CHECK_EQ(std::string(choice.value().engine->name()), make_uring_engine().ok() ? "uring" : "threads");
}

TEST(engine, auto_takes_threads_where_no_ring_can_be_made) {
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;  // no further descriptor
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  auto uring = make_engine(EngineKind::kUring);
  auto choice = make_engine(EngineKind::kAuto);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(!uring.ok());
  REQUIRE(choice.ok());
  CHECK_EQ(std::string(choice.value().engine->name()), "threads");
  CHECK(choice.value().reason.find(uring.error().message()) != std::string::npos);
  auto device = new_device(8192);
  Buffer memory(4096);
  CHECK_EQ(run_io(*open_queue(*choice.value().engine), IoOp::kRead, device, 0, 4096, memory.data()), 0);
}

}  // namespace dmiofs::test
