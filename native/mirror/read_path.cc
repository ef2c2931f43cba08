// The life of a read: choose one leg, read, on an error another one; afterwards rewrite on the first what it
// could not give.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/stage_times.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

// I/O that one device may owe us before it is asked nothing more: each keeps a buffer.
constexpr unsigned kMostLateIos = 8;

// What a leg could not give, to be repaired once the read has let go of its range.
struct FailedRange {
  unsigned leg;
  uint64_t offset;
  uint64_t length;
};
constexpr size_t kMostRepairs = 8;  // a read; what is left over will fail, and be repaired, again

}  // namespace

int MirrorSet::read(void* data, size_t size, uint64_t offset, ReadLoan* loan) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  if (size == 0) return 0;
  self.user_ios.fetch_add(1, std::memory_order_relaxed);
  uint64_t epoch = 0;
  std::array<FailedRange, kMostRepairs> failed;
  size_t failed_count = 0;
  {
    // Locked over all pieces: a read sees each write wholly or not at all.
    RangeLock::Guard range(self.range_lock, round_down(offset, self.block),
                           round_up(offset + size, self.block), RangeLock::Mode::kShared);
    StageTimes::pass(Stage::kRangeLocked);
    epoch = self.legs_epoch.load(std::memory_order_relaxed);
    BufferRef buffer;
    auto* at = static_cast<uint8_t*>(data);
    while (size > 0) {
      const size_t piece = std::min<uint64_t>(size, self.dm_io.max_run_bytes() - offset % self.block);
      const uint64_t start = round_down(offset, self.block);
      const uint64_t length = round_up(offset + piece, self.block) - start;
      if (buffer.slot() == nullptr) buffer = self.dm_io.acquire(length);
      if (buffer.capacity() < length) {
        buffer = BufferRef();
        buffer = self.dm_io.acquire(length);
      }
      ReadOutcome outcome;
      if (const int err = self.read_blocks(&buffer, 0, length, start, &outcome); err != 0) {
        self.tell_set_failed(start);
        return err;
      }
      if (loan != nullptr && piece == size && at == data && outcome.failed == 0) {
        loan->data = buffer.data() + (offset - start);
        loan->buffer = std::move(buffer);
        return 0;
      }
      std::memcpy(at, buffer.data() + (offset - start), piece);
      for (ErrorBits left = outcome.failed; left != 0 && failed_count < kMostRepairs; left &= left - 1) {
        failed[failed_count++] = {lowest_index(left), start, length};
      }
      at += piece;
      offset += piece;
      size -= piece;
    }
  }
  for (size_t i = 0; i < failed_count && !self.read_only; i++) {
    self.repair_read(failed[i].leg, failed[i].offset, failed[i].length, epoch);
  }
  return 0;
}

// Reads whole blocks into the buffer from one leg, with failover; the range is locked.
int MirrorSet::Impl::read_blocks(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset,
                                 ReadOutcome* outcome) {
  ErrorBits tried = 0;
  for (;;) {
    const unsigned index = choose_leg(current_view(), offset, length, tried);
    if (index == kNoLeg) return -EIO;
    tried |= error_bit(index);
    nanos_t took = 0;
    if (!read_leg(buffer, buffer_offset, length, offset, index, outcome, &took)) continue;
    std::atomic<int64_t>& latency = legs[index]->counters.latency;
    const int64_t average = latency.load(std::memory_order_relaxed);
    latency.store(average + (took - average) / 8, std::memory_order_relaxed);
    return 0;
  }
}

// Reads from this leg. False: it cannot, which is noted; it has been taken out, or is in outcome->failed.
bool MirrorSet::Impl::read_leg(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset,
                               unsigned index, ReadOutcome* outcome, nanos_t* took) {
  if (where[index].bdev->late_ios() >= kMostLateIos) {
    take_out_one(index, LegErrorKind::kRead, ETIMEDOUT, offset);
    return false;
  }
  DmIoResult result;
  dm_io.run(*buffer, IoOp::kRead, where, ~error_bit(index), offset, length, buffer_offset, deadline(),
            &result);
  *took = result.took[index];
  legs[index]->counters.statistics.record(LegOp::kRead, length, *took);
  if (result.error_bits == 0) {
    outcome->leg = index;
    return true;
  }
  if (result.late_bits != 0) {
    const size_t capacity = buffer->capacity();
    *buffer = BufferRef();
    *buffer = dm_io.acquire(capacity);
    outcome->replaced = true;
    // A leg that does not answer is out at once; the last in-sync one stays and the caller gets the error.
    take_out(error_bit(index), LegErrorKind::kRead, result, offset);
    return false;
  }
  outcome->failed |= error_bit(index);
  MutexLock lock(state_mutex);
  note_errors(error_bit(index), LegErrorKind::kRead, result, offset);
  return false;
}

// A leg that could not give a range gets it rewritten from good data, and gives it back, or is out.
void MirrorSet::Impl::repair_read(unsigned leg, uint64_t offset, uint64_t length, uint64_t epoch) {
  RangeLock::Guard range(range_lock, offset, offset + length, RangeLock::Mode::kExclusive);
  if (legs_epoch.load(std::memory_order_relaxed) != epoch) return;  // it will fail, and be repaired, again
  const uint64_t first = regions->of(offset);
  const uint64_t last = regions->of(offset + length - 1);
  // Dirty first: a crash in the middle must not leave a torn leg unnoticed.
  if (start_write(first, last) != 0) return;
  int err = 0;
  {
    BufferRef buffer = dm_io.acquire(length);
    const size_t most = round_down(buffer.capacity() / 2, block);  // the other half takes what is read back
    for (uint64_t done = 0; done < length && err == 0; done += most) {
      err = repair_piece(&buffer, leg, offset + done, std::min<uint64_t>(most, length - done));
    }
  }
  regions->end_write(first, last);
  if (err < 0) take_out_one(leg, LegErrorKind::kRead, -err, offset);
  if (err != 0) return;
  legs[leg]->counters.repaired_reads.fetch_add(1, std::memory_order_relaxed);
  log_line(LogLevel::kWarn, "set " + name + ": rewrote " + std::to_string(length) + " bytes at sector " +
                                std::to_string(sectors_of(offset)) + " of leg " + std::to_string(leg));
  bool too_many = false;
  {
    MutexLock lock(state_mutex);
    too_many = legs[leg]->read_errors.add(now_nanos(), read_error_limit);
  }
  if (!too_many) return;
  log_line(LogLevel::kError, "set " + name + ": leg " + std::to_string(leg) + " had more than " +
                                 std::to_string(read_error_limit) + " read errors lately: it is taken out");
  take_out_one(leg, LegErrorKind::kRead, EIO, offset);
}

// 0: the leg has it again; -errno: it cannot; 1: nothing to repair it from, or the leg is out.
int MirrorSet::Impl::repair_piece(BufferRef* buffer, unsigned leg, uint64_t offset, size_t length) {
  if (admit_write() != 0) return 1;
  const LegView seen = current_view();
  const ErrorBits others = seen.in_sync & ~error_bit(leg);
  if ((seen.active & error_bit(leg)) == 0 || others == 0) return 1;
  const auto good = (others & error_bit(seen.source)) != 0 ? seen.source : lowest_index(others);
  DmIoResult step;
  dm_io.run(*buffer, IoOp::kRead, where, ~error_bit(good), offset, length, 0, deadline(), &step);
  if (step.error_bits != 0) return 1;
  dm_io.run(*buffer, IoOp::kWrite, where, ~error_bit(leg), offset, length, 0, deadline(), &step);
  if (step.error_bits != 0) return step.errnos[leg];
  dm_io.run(*buffer, IoOp::kRead, where, ~error_bit(leg), offset, length, length, deadline(), &step);
  if (step.error_bits != 0) return step.errnos[leg];
  return std::memcmp(buffer->data(), buffer->data() + length, length) == 0 ? 0 : -EIO;
}

}  // namespace dmiofs
