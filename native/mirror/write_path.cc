// The life of a write: lock its range, make its sync regions dirty, one dm-io write to all legs, settle what
// failed, answer.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/stage_times.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

int MirrorSet::write(const void* data, size_t size, uint64_t offset) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  if (size == 0) return 0;
  self.user_ios.fetch_add(1, std::memory_order_relaxed);
  RangeLock::Guard range(self.range_lock, round_down(offset, self.block), round_up(offset + size, self.block),
                         RangeLock::Mode::kExclusive);
  StageTimes::pass(Stage::kRangeLocked);
  const uint64_t first = self.regions->of(offset);
  const uint64_t last = self.regions->of(offset + size - 1);
  if (const int err = self.start_write(first, last); err != 0) return err;
  StageTimes::pass(Stage::kDirtyMarked);
  const int err = self.write_locked(static_cast<const uint8_t*>(data), size, offset);
  self.regions->end_write(first, last);
  return err;
}

// Dirty on stable storage, and the record says "in use", before anything is sent to a leg. Ends with
// regions->end_write().
int MirrorSet::Impl::start_write(uint64_t first, uint64_t last) {
  if (durable_generation.load(std::memory_order_acquire) < in_use_generation) {
    if (const int err = persist(in_use_generation); err != 0) return err;
  }
  bool marked = false;
  if (const int err = regions->start_write(first, last, &marked); err != 0) return note_log_failure(err);
  if (marked) {
    if (log_trouble.load(std::memory_order_relaxed)) note_log_success();
    if (background_asleep.load()) wake_background();  // there is something to clean, some time
  }
  return 0;
}

// Waits while a write that timed out may still land on a leg that stays in the set, so that it cannot
// overtake a newer one. A leg that does not come to an end in time leaves, if another one is good.
int MirrorSet::Impl::admit_write() {
  if (!late_writes.load(std::memory_order_relaxed)) return 0;
  const nanos_t until = deadline();
  for (;;) {
    const LegView seen = current_view();
    ErrorBits late = 0;
    for (unsigned index = 0; index < legs.size(); index++) {
      if ((seen.active & error_bit(index)) != 0 && where[index].bdev->late_ios() > 0)
        late |= error_bit(index);
    }
    if (late == 0) return 0;
    if (now_nanos() >= until) {
      DmIoResult result;
      result.errnos.fill(-ETIMEDOUT);
      return take_out(late, LegErrorKind::kWrite, result, 0) ? 0 : -EIO;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

// The range stays locked over all pieces, so that overlapping large writes cannot interleave differently on
// two legs.
int MirrorSet::Impl::write_locked(const uint8_t* data, uint64_t size_bytes, uint64_t offset) {
  while (size_bytes > 0) {
    const size_t piece = std::min<uint64_t>(size_bytes, dm_io.max_run_bytes() - offset % block);
    if (const int err = write_piece(data, piece, offset); err != 0) return err;
    data += piece;
    offset += piece;
    size_bytes -= piece;
  }
  return 0;
}

int MirrorSet::Impl::write_piece(const uint8_t* data, size_t size_bytes, uint64_t offset) {
  const uint64_t start = round_down(offset, block);
  const uint64_t end = round_up(offset + size_bytes, block);
  if (const int err = admit_write(); err != 0) return err;
  BufferRef buffer = dm_io.acquire(end - start);
  const bool head = offset != start;
  const bool tail = offset + size_bytes != end;
  if (head || tail) {
    if (const int err = read_edges(&buffer, start, end, head, tail); err != 0) return err;
  }
  std::memcpy(buffer.data() + (offset - start), data, size_bytes);

  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  dm_io.run(buffer, IoOp::kWrite, where, ~seen.active, start, end - start, 0, deadline(), &result);
  count_io(seen.active, LegOp::kWrite, end - start, result);
  buffer = BufferRef();  // settle() may need one
  return settle(seen, result, LegErrorKind::kWrite, start, end - start);
}

// The first and the last block of [start, end), which the write does not fill. A leg that cannot give one is
// not repaired: the write rewrites it.
int MirrorSet::Impl::read_edges(BufferRef* buffer, uint64_t start, uint64_t end, bool head, bool tail) {
  for (;;) {
    ReadOutcome outcome;
    if (head) {
      if (const int err = read_blocks(buffer, 0, block, start, &outcome); err != 0) return err;
      if (end - start == block) return 0;
    }
    if (!tail) return 0;
    outcome = ReadOutcome{};
    if (const int err = read_blocks(buffer, end - start - block, block, end - block, &outcome); err != 0)
      return err;
    if (!head || !outcome.replaced) return 0;
  }
}

int MirrorSet::flush() {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return 0;
  return self.flush_legs(LegErrorKind::kFlush);
}

// What was acknowledged before is on stable storage of each leg in use, or the leg is out.
int MirrorSet::Impl::flush_legs(LegErrorKind kind) {
  RangeLock::Guard devices(range_lock, kLegsRange, kLegsRange + 1, RangeLock::Mode::kShared);
  StageTimes::pass(Stage::kRangeLocked);
  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  {
    BufferRef buffer = dm_io.acquire(0);
    dm_io.run(buffer, IoOp::kFlush, where, ~seen.active, 0, 0, 0, deadline(), &result);
  }
  count_io(seen.active, LegOp::kFlush, 0, result);
  return settle(seen, result, kind, 0, 0);
}

}  // namespace dmiofs
