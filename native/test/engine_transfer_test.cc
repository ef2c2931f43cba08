// Short transfers: where they go on, and on a descriptor that really gives them.
#include <unistd.h>

#include <thread>

#include "engine/transfer.h"
#include "test/engine_fixture.h"

namespace dmiofs::test {

TEST(engine_transfer, the_rest_follows_what_is_done) {
  Random random(seed());
  for (unsigned round = 0; round < rounds(500); round++) {
    std::vector<char> memory(64 * 1024);
    std::vector<iovec> vectors;
    std::vector<char*> expected;  // each byte's place, in order
    const unsigned count = 1 + static_cast<unsigned>(random.below(6));
    for (unsigned i = 0; i < count; i++) {
      iovec vector = {memory.data() + i * 8192, random.below(5) == 0 ? 0 : 1 + random.below(100)};
      if (i == count - 1 && vector.iov_len == 0) vector.iov_len = 7;
      for (size_t at = 0; at < vector.iov_len; at++)
        expected.push_back(static_cast<char*>(vector.iov_base) + at);
      vectors.push_back(vector);
    }
    Io io;
    io.iov = vectors.data();
    io.iov_count = count;
    io.length = expected.size();
    while (io.done < io.length) {
      const TransferRest rest = transfer_rest(io);
      const iovec* from = rest.vectors != nullptr ? rest.vectors : &rest.single;
      const unsigned left = rest.vectors != nullptr ? rest.vector_count : 1;
      size_t at = io.done;
      for (unsigned i = 0; i < left; i++) {
        for (size_t byte = 0; byte < from[i].iov_len; byte++) {
          if (at < expected.size()) CHECK(static_cast<char*>(from[i].iov_base) + byte == expected[at]);
          at++;
        }
      }
      REQUIRE(at > io.done && at <= expected.size());
      io.done += 1 + random.below(at - io.done);
    }
  }
}

// A pipe gives what it holds: a read of more is short, again and again.
TEST(engine_uring, short_transfers_are_continued) {
  auto engine = engine_named("uring");
  if (engine == nullptr) SKIP("io_uring is not to be had here");
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  auto device = Device::wrap(UniqueFd(ends[0]), DeviceInfo{});
  UniqueFd writer(ends[1]);
  auto queue = engine->open_queue(4).take();
  Buffer out(40000);
  out.randomise(seed());
  Buffer in(40000, 0);
  std::vector<iovec> vectors = {{in.data(), 10}, {in.data() + 10, 19990}, {in.data() + 20000, 20000}};
  CountedIo read(IoOp::kRead, device, 0, 40000);
  read.io.iov = vectors.data();
  read.io.iov_count = 3;
  queue->queue(&read.io);
  queue->submit();
  size_t sent = 0;
  for (const size_t piece : {3u, 7u, 100u, 19890u, 1u, 19999u}) {
    CHECK_EQ(read.completions.load(), 0);
    CHECK_EQ(write(writer.get(), out.data() + sent, piece), static_cast<ssize_t>(piece));
    sent += piece;
    queue->reap(now_nanos() + 5 * kNanosPerMilli);
  }
  while (read.completions.load() == 0) queue->reap(kNoDeadline);
  CHECK_EQ(read.io.result, 0);
  CHECK(in.text() == out.text());
}

}  // namespace dmiofs::test
