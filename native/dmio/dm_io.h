// DmIo: the dm-io services. Reads one I/O region or writes to several at once, with error bits by I/O region.
//
// Two ways in over one request core (request.h: a count that starts at 1 and error bits; whoever drops the
// last reference completes):
//
//   sync/async  the services of the kernel's text: any of the three kinds of memory, any length, all I/O has
//               ended when they return or call back (kernel: sync_io, async_io, dispatch_io).
//   run         what the mirror set uses: data in a pooled buffer, one deadline, returns at the deadline with
//               the I/O regions that did not answer marked late; their I/O ends whenever it will, on memory
//               and devices that the pool keeps for it.
//
// All I/O regions are in flight at once and each gets the same data from the buffer's start; all are tried
// whatever fails; an I/O region of count 0 is skipped. A failed read leaves zeros. Errors are per I/O region;
// nothing here decides what a failure means.
//
// THREAD SAFETY: thread-safe. LOCK ORDER: leaf. OWNERSHIP: outlives its requests; holds the engine pool.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "base/sector.h"
#include "dmio/buffer.h"
#include "dmio/io_region.h"
#include "dmio/memory.h"
#include "engine/engine.h"
#include "engine/lease.h"

namespace dmiofs {

// The outcome of one request.
struct DmIoResult {
  ErrorBits error_bits = 0;  // bit i: where[i] failed (with the late ones)
  // bit i: where[i] had not answered at the deadline; errnos[i] is -ETIMEDOUT. run() only
  ErrorBits late_bits = 0;
  // 0 or -errno by I/O region; defined for the request's I/O regions only
  std::array<int, kMaxIoRegions> errnos;
  // Nanoseconds by I/O region from the submission to its end, or to where it was given up; defined for the I/O
  // regions of a run() only.
  std::array<nanos_t, kMaxIoRegions> took;
};

// Kernel: io_notify_fn. Called exactly once, never from within the call that started the I/O, on dm-io's
// completion thread; must not block.
using IoNotifyFn = void (*)(ErrorBits error, const DmIoResult& result, void* context);

struct DmIoOptions {
  unsigned ready_queues = 4;  // engine queues opened at once
  unsigned queue_depth = 256;
  size_t max_run_bytes = 128 * 1024;  // the largest data of one run(): sizes the buffer classes
  unsigned small_buffers = 64;        // of 4 KiB
  unsigned large_buffers = 32;        // of max_run_bytes + 2 x 4 KiB, 128 KiB of it at most
  unsigned largest_buffers = 8;       // of max_run_bytes + 2 x 4 KiB, when that is more
};

class DmIo {
 public:
  static Result<std::unique_ptr<DmIo>> create(std::shared_ptr<Engine> engine, const DmIoOptions& options);
  // waits (bounded) for async requests; what a device still holds stays for as long as it does
  ~DmIo();

  // The page reserve of the async services (kernel: dm_io_get, dm_io_put): each page stands for 4 Ios in
  // flight. Requests beyond the reserve wait in order. put returns -EINVAL, and changes nothing, for more
  // than was got. Both safe under load.
  int get(unsigned num_pages);
  int put(unsigned num_pages);

  // 0, or a negative errno when the arguments are wrong: then there is no I/O and, for async, no callback
  // (-EINVAL: more than 64 I/O regions, a read of more than one, unaligned pieces, memory shorter than an I/O
  // region; -ERANGE: beyond the device's end).
  int sync(IoOp op, std::span<const IoRegion> where, MemoryCursor memory, DmIoResult* result);
  int async(IoOp op, std::span<const IoRegion> where, MemoryCursor memory, IoNotifyFn fn, void* context);

  // Waits for a pooled buffer of at least `bytes` (<= max_run_bytes + 8192).
  BufferRef acquire(size_t bytes);

  // `op` on the buffer's [buffer_offset, buffer_offset + length) for kRead (one I/O region) and kWrite; no
  // data for the others. `offset` and `length` are bytes from each I/O region's start and the same for all;
  // they are aligned to every device's logical block. Call it again on the same buffer only while no late I/O
  // is on it (result->late_bits == 0 so far). `skip`: I/O regions left out, their bits stay 0.
  void run(BufferRef& buffer, IoOp op, std::span<const IoRegion> where, ErrorBits skip, uint64_t offset,
           size_t length, size_t buffer_offset, nanos_t deadline, DmIoResult* result);

  // Keeps the pooled buffers in memory (mlock). 0 or a positive errno.
  int lock_buffers();

  unsigned late_buffers() const;  // buffers whose I/O has outlived its caller
  unsigned total_buffers() const;
  Engine& engine();
  size_t max_run_bytes() const;

 private:
  struct Impl;
  explicit DmIo(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace dmiofs
