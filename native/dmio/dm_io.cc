#include "dmio/dm_io.h"

#include <algorithm>
#include <cerrno>

#include "base/stage_times.h"
#include "dmio/async_worker.h"
#include "dmio/request_driver.h"
#include "dmio/request_slot.h"

namespace dmiofs {
namespace {

constexpr unsigned kIosPerPage = 4;      // kernel: pages_to_ios
constexpr unsigned kBaseReserve = 64;    // chunks, without any get: so that nothing waits for ever
constexpr unsigned kMaxReserve = 65536;  // chunks; the page number is a hint of concurrency, never a limit
constexpr unsigned kSyncReserve = 64;    // chunks of one synchronous request
constexpr size_t kEdgeBytes = 2 * 4096;  // a buffer also holds a block before and after its data
constexpr size_t kSmallBytes = 4096 + kEdgeBytes;
constexpr size_t kLargeBytes = 128 * 1024;

}  // namespace

struct DmIo::Impl {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<BufferPool> buffers;
  std::unique_ptr<EnginePool> queues;
  std::unique_ptr<AsyncWorker> worker;
  size_t max_run_bytes = 0;
  Mutex mutex;
  uint64_t pages GUARDED_BY(mutex) = 0;

  void apply_reserve() REQUIRES(mutex) {
    worker->set_reserve(kBaseReserve +
                        static_cast<unsigned>(std::min<uint64_t>(pages * kIosPerPage, kMaxReserve)));
  }
};

DmIo::DmIo(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DmIo::~DmIo() = default;

Result<std::unique_ptr<DmIo>> DmIo::create(std::shared_ptr<Engine> engine, const DmIoOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->engine = engine;
  impl->max_run_bytes = options.max_run_bytes;
  std::vector<BufferPool::SizeClass> classes = {
      {kSmallBytes, options.small_buffers},
      {std::min(options.max_run_bytes, kLargeBytes) + kEdgeBytes, options.large_buffers}};
  if (options.max_run_bytes > kLargeBytes)
    classes.push_back({options.max_run_bytes + kEdgeBytes, options.largest_buffers});
  auto buffers = BufferPool::create(classes);
  if (!buffers.ok()) return buffers.error();
  impl->buffers = buffers.take();
  auto queues = EnginePool::create(engine, options.ready_queues, options.queue_depth);
  if (!queues.ok()) return queues.error();
  impl->queues = queues.take();
  auto worker = AsyncWorker::create(engine, options.queue_depth, kBaseReserve);
  if (!worker.ok()) return worker.error();
  impl->worker = worker.take();
  return std::unique_ptr<DmIo>(new DmIo(std::move(impl)));
}

int DmIo::get(unsigned num_pages) {
  MutexLock lock(impl_->mutex);
  impl_->pages += num_pages;
  impl_->apply_reserve();
  return 0;
}

int DmIo::put(unsigned num_pages) {
  MutexLock lock(impl_->mutex);
  if (num_pages > impl_->pages) return -EINVAL;
  impl_->pages -= num_pages;
  impl_->apply_reserve();
  return 0;
}

int DmIo::sync(IoOp op, std::span<const IoRegion> where, MemoryCursor memory, DmIoResult* result) {
  if (const int err = check_request(op, where, memory); err != 0) return err;
  Request request;
  bool ended = false;
  prepare_request(&request, op, where, memory);
  request.context = &ended;
  request.complete = [](Request* done) { *static_cast<bool*>(done->context) = true; };
  EngineLease queue = impl_->queues->lease();
  RequestDriver driver(*queue, kSyncReserve);
  driver.start(&request);
  while (!ended) queue->reap(kNoDeadline);
  *result = request.result;
  return 0;
}

int DmIo::async(IoOp op, std::span<const IoRegion> where, MemoryCursor memory, IoNotifyFn fn, void* context) {
  if (const int err = check_request(op, where, memory); err != 0) return err;
  auto* request = new Request();
  prepare_request(request, op, where, memory);
  request->notify = fn;
  request->context = context;
  request->complete = [](Request* done) {
    done->notify(done->result.error_bits, done->result, done->context);
    delete done;
  };
  impl_->worker->start(request);
  return 0;
}

BufferRef DmIo::acquire(size_t bytes) { return impl_->buffers->acquire(bytes); }

namespace {

void run_ended(Io* io) {
  auto* slot = static_cast<RequestSlot*>(io->context);
  const auto index = static_cast<size_t>(io - slot->ios.data());
  slot->ended[index] = now_nanos();
  slot->answers[index].store(io->result, std::memory_order_release);
  slot->pending--;
  if (!slot->detached) return;
  io->device->late_io_ended();
  slot->pool->put(slot);
}

}  // namespace

void DmIo::run(BufferRef& buffer, IoOp op, std::span<const IoRegion> where, ErrorBits skip, uint64_t offset,
               size_t length, size_t buffer_offset, nanos_t deadline, DmIoResult* result) {
  RequestSlot* slot = buffer.slot();
  slot->vector = {slot->data + buffer_offset, length};
  slot->pending = 0;
  result->error_bits = 0;
  result->late_bits = 0;
  EngineLease queue = impl_->queues->lease();
  ErrorBits started = 0;
  const nanos_t start = now_nanos();
  for (unsigned index = 0; index < where.size(); index++) {
    result->errnos[index] = 0;
    if ((skip & error_bit(index)) != 0) continue;
    Io& io = slot->ios[index];
    io = Io{};
    io.op = op;
    io.device = where[index].bdev.get();
    io.offset = bytes_of(where[index].sector) + offset;
    io.length = length;
    if (carries_data(op)) {
      io.iov = &slot->vector;
      io.iov_count = 1;
    }
    slot->answers[index].store(kNoAnswer, std::memory_order_relaxed);
    io.context = slot;
    io.on_complete = run_ended;
    started |= error_bit(index);
    slot->pending++;
    queue->queue(&io);
  }
  StageTimes::pass(Stage::kSubmitted);
  while (slot->pending > 0) {
    queue->drain(deadline);
    if (deadline != kNoDeadline && slot->pending > 0 && now_nanos() >= deadline) break;
  }
  StageTimes::pass(Stage::kCompleted);
  for (unsigned index = 0; index < where.size(); index++) {
    if ((started & error_bit(index)) == 0) continue;
    int err = slot->answers[index].load(std::memory_order_acquire);
    if (err == kNoAnswer) {
      result->late_bits |= error_bit(index);
      slot->late_devices[index] = where[index].bdev;
      where[index].bdev->late_io_started();
      err = -ETIMEDOUT;
      result->took[index] = now_nanos() - start;
    } else {
      result->took[index] = slot->ended[index] - start;
    }
    result->errnos[index] = err;
    if (err != 0) result->error_bits |= error_bit(index);
  }
  if (slot->pending > 0) slot->pool->leave(slot);
  // The lease ends here: with late Ios the queue goes to the reaper, which completes them.
}

int DmIo::lock_buffers() { return impl_->buffers->lock_memory(); }
unsigned DmIo::late_buffers() const { return impl_->buffers->late(); }
unsigned DmIo::total_buffers() const { return impl_->buffers->total(); }
size_t DmIo::max_run_bytes() const { return impl_->max_run_bytes; }
Engine& DmIo::engine() { return *impl_->engine; }

}  // namespace dmiofs
