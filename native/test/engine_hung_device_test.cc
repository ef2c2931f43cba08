// A device whose I/O does not end: read into memory whose page faults nobody answers (userfaultfd), so that the thread at it really is
// stuck in the kernel.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/engine_fixture.h"

namespace dmiofs::test {
namespace {

class StuckMemory {
 public:
  explicit StuckMemory(size_t pages) : size_(pages * 4096) {
    fd_.reset(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    if (!fd_.valid()) return;
    uffdio_api api = {};
    api.api = UFFD_API;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ioctl(fd_.get(), UFFDIO_API, &api) != 0 || memory == MAP_FAILED) return;
    data_ = static_cast<uint8_t*>(memory);
    uffdio_register range = {};
    range.range = {reinterpret_cast<uint64_t>(data_), size_};
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    usable_ = ioctl(fd_.get(), UFFDIO_REGISTER, &range) == 0;
  }
  ~StuckMemory() {
    release();
    if (data_ != nullptr) munmap(data_, size_);
  }
  bool usable() const { return usable_; }
  uint8_t* page(size_t index) { return data_ + index * 4096; }
  void release() { fd_.reset(); }  // the faults are then answered as usual

 private:
  size_t size_;
  UniqueFd fd_;
  uint8_t* data_ = nullptr;
  bool usable_ = false;
};

}  // namespace

TEST(engine_threads, a_hung_device_starves_no_other) {
  constexpr unsigned kStuck = 700;  // more than the pool ever has threads
  StuckMemory stuck(kStuck);
  if (!stuck.usable()) SKIP("userfaultfd is not permitted here");
  auto engine = make_threads_engine();
  auto hung = new_device(65536);
  auto good = new_device(65536);
  auto hung_queue = engine->open_queue(kStuck).take();
  std::vector<std::unique_ptr<CountedIo>> ios;
  for (unsigned i = 0; i < kStuck; i++) {
    ios.push_back(std::make_unique<CountedIo>(IoOp::kRead, hung, 0, 4096, stuck.page(i)));
    hung_queue->queue(&ios.back()->io);
  }
  hung_queue->submit();
  CHECK_EQ(hung_queue->reap(now_nanos() + 20 * kNanosPerMilli), 0u);

  auto queue = engine->open_queue(8).take();
  Buffer memory(4096);
  for (unsigned i = 0; i < 16; i++)
    CHECK_EQ(run_io(*queue, IoOp::kRead, good, i * 4096, 4096, memory.data()), 0);
  CHECK_EQ(hung_queue->in_flight(), kStuck);

  stuck.release();
  CHECK_EQ(hung_queue->drain(kNoDeadline), kStuck);
  for (auto& io : ios) CHECK_EQ(io->io.result, 0);
  CHECK(std::memcmp(stuck.page(kStuck - 1), file_content(hung->info().path).data(), 4096) == 0);
}

TEST(engine_threads, the_engine_ends_while_a_device_hangs) {
  StuckMemory stuck(1);
  if (!stuck.usable()) SKIP("userfaultfd is not permitted here");
  auto engine = make_threads_engine();
  auto hung = new_device(8192);
  auto queue = engine->open_queue(8).take();
  CountedIo io(IoOp::kRead, hung, 0, 4096, stuck.page(0));
  queue->queue(&io.io);
  queue->submit();
  CHECK_EQ(queue->reap(now_nanos() + 5 * kNanosPerMilli), 0u);
  engine.reset();
  stuck.release();
  CHECK_EQ(queue->drain(kNoDeadline), 1u);
  CHECK_EQ(io.io.result, 0);
}

}  // namespace dmiofs::test
