// EnginePool: queues handed out and taken back, and I/O whose caller did not wait.
#include <thread>

#include "engine/lease.h"
#include "test/engine_fixture.h"

namespace dmiofs::test {
namespace {

std::shared_ptr<Engine> best_engine() {
  auto uring = engine_named("uring");
  return uring != nullptr ? uring : make_threads_engine();
}

// Opens `limit` queues and then no more.
class LimitedEngine final : public Engine {
 public:
  explicit LimitedEngine(unsigned limit) : limit_(limit), inner_(make_threads_engine()) {}
  const char* name() const noexcept override { return "limited"; }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned depth) override {
    if (opened_.fetch_add(1) >= limit_) return Error{EMFILE, "open queue", "", ""};
    return inner_->open_queue(depth);
  }

 private:
  const unsigned limit_;
  std::atomic<unsigned> opened_{0};
  std::shared_ptr<Engine> inner_;
};

}  // namespace

TEST(engine_lease, the_last_used_queue_comes_first) {
  auto pool = EnginePool::create(best_engine(), 3, 8).take();
  IoQueue* used = nullptr;
  {
    EngineLease kept = pool->lease();
    EngineLease a = pool->lease();
    CHECK(&*kept != &*a);
    used = &*a;
    kept->submit();
    EngineLease moved = std::move(a);
    CHECK(&*moved == used);
    EngineLease last = pool->lease();
    used = &*kept;  // given back after `last` and `moved`
  }
  EngineLease again = pool->lease();
  CHECK(&*again == used);
}

TEST(engine_lease, more_leases_than_ready_queues) {
  auto pool = EnginePool::create(best_engine(), 1, 8).take();
  std::vector<EngineLease> leases;
  for (unsigned i = 0; i < 5; i++) leases.push_back(pool->lease());
  auto device = new_device(8192);
  Buffer memory(4096);
  for (EngineLease& lease : leases) CHECK_EQ(run_io(*lease, IoOp::kRead, device, 0, 4096, memory.data()), 0);
}

TEST(engine_lease, when_no_queue_can_be_opened_one_is_waited_for) {
  auto pool = EnginePool::create(std::make_shared<LimitedEngine>(2), 1, 8).take();
  auto device = new_device(65536);
  std::vector<std::thread> threads;
  std::atomic<unsigned> done{0};
  for (unsigned t = 0; t < 6; t++) {
    threads.emplace_back([&] {
      Buffer memory(4096);
      for (unsigned i = 0; i < 20; i++) {
        EngineLease lease = pool->lease();
        CHECK_EQ(run_io(*lease, IoOp::kRead, device, 4096 * (i % 16), 4096, memory.data()), 0);
        done++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(done.load(), 120u);
}

TEST(engine_lease, an_engine_that_opens_no_queue_is_an_error) {
  auto pool = EnginePool::create(std::make_shared<LimitedEngine>(0), 1, 8);
  REQUIRE(!pool.ok());
  CHECK_EQ(pool.error().err, EMFILE);
}

TEST(engine_lease, many_threads_write_two_legs) {
  auto pool = EnginePool::create(best_engine(), 2, 8).take();
  constexpr unsigned kThreads = 8;
  constexpr unsigned kWrites = 40;
  const std::shared_ptr<Device> legs[2] = {new_device(kThreads * 65536), new_device(kThreads * 65536)};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      Buffer out(4096);
      Buffer in(4096);
      for (unsigned i = 0; i < kWrites; i++) {
        out.randomise(seed() + t * 1000 + i);
        const uint64_t offset = t * 65536 + (i % 16) * 4096;
        EngineLease lease = pool->lease();
        CountedIo first(IoOp::kWrite, legs[0], offset, 4096, out.data());
        CountedIo second(IoOp::kWrite, legs[1], offset, 4096, out.data());
        lease->queue(&first.io);
        lease->queue(&second.io);
        CHECK_EQ(lease->drain(kNoDeadline), 2u);
        CHECK_EQ(first.io.result, 0);
        CHECK_EQ(second.io.result, 0);
        CHECK_EQ(run_io(*lease, IoOp::kRead, legs[i % 2], offset, 4096, in.data()), 0);
        CHECK(out.text() == in.text());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(file_content(legs[0]->info().path).substr(0, 4096) ==
        file_content(legs[1]->info().path).substr(0, 4096));
}

TEST(engine_lease, abandoned_io_is_completed_by_the_reaper) {
  auto rules = std::make_shared<FaultRules>();
  auto pool = EnginePool::create(make_fault_engine(best_engine(), rules), 1, 8).take();
  const uint64_t id = rules->add({.action = FaultAction::kHang});
  auto device = new_device(65536);
  constexpr unsigned kIos = 5;
  Buffer memory(kIos * 4096);
  std::vector<std::unique_ptr<CountedIo>> ios;
  IoQueue* queue = nullptr;
  for (unsigned i = 0; i < kIos; i++) {
    ios.push_back(std::make_unique<CountedIo>(IoOp::kRead, device, i * 4096, 4096, memory.data() + i * 4096));
    EngineLease lease = pool->lease();
    queue = &*lease;
    lease->queue(&ios.back()->io);
    CHECK_EQ(lease->reap(now_nanos() + kNanosPerMilli), 0u);
  }
  CHECK_EQ(pool->abandoned_ios(), kIos);
  rules->remove(id);
  wait_until([&] { return pool->abandoned_ios() == 0; });
  for (auto& io : ios) {
    CHECK_EQ(io->completions.load(), 1);
    CHECK_EQ(io->io.result, 0);
  }
  CHECK(memory.text() == file_content(device->info().path).substr(0, memory.size()));
  // All its queues can be had again, the one abandoned last too.
  std::vector<EngineLease> leases;
  bool found = false;
  for (unsigned i = 0; i < kIos; i++) {
    leases.push_back(pool->lease());
    found = found || &*leases.back() == queue;
  }
  CHECK(found);
}

TEST(engine_lease, a_lease_that_ends_unsubmitted_still_does_its_io) {
  auto pool = EnginePool::create(best_engine(), 1, 8).take();
  auto device = new_device(8192);
  Buffer memory(4096);
  CountedIo read(IoOp::kRead, device, 0, 4096, memory.data());
  {
    EngineLease lease = pool->lease();
    lease->queue(&read.io);
  }
  wait_until([&] { return read.completions.load() == 1; });
  CHECK_EQ(read.io.result, 0);
}

TEST(engine_lease, a_hung_device_does_not_hang_the_end) {
  // What the hung I/O may still use must outlive this test: as at the end of a process.
  static auto rules = std::make_shared<FaultRules>();
  static auto device = new_device(8192);
  static Buffer memory(4096);
  static CountedIo hung(IoOp::kRead, device, 0, 4096, memory.data());
  rules->add({.action = FaultAction::kHang});
  auto pool = EnginePool::create(make_fault_engine(best_engine(), rules), 1, 8).take();
  {
    EngineLease lease = pool->lease();
    lease->queue(&hung.io);
    lease->submit();
  }
  pool.reset();
  CHECK_EQ(hung.completions.load(), 0);
}

}  // namespace dmiofs::test
