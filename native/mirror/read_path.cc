// The life of a read: choose one leg, read, on an error another one; afterwards rewrite on the first what it
// could not give.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr unsigned kNoLeg = UINT32_MAX;
// reads; `fastest` then tries another leg, so that one that has become fast is found
constexpr uint64_t kProbeEvery = 64;

}  // namespace

int MirrorSet::read(void* data, size_t size, uint64_t offset) {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  self.user_ios.fetch_add(1, std::memory_order_relaxed);
  auto* at = static_cast<uint8_t*>(data);
  while (size > 0) {
    const size_t piece = std::min<uint64_t>(size, self.dm_io.max_run_bytes() - offset % self.block);
    const uint64_t start = round_down(offset, self.block);
    const uint64_t end = round_up(offset + piece, self.block);
    unsigned failed_leg = kNoLeg;
    {
      BufferRef buffer = self.dm_io.acquire(end - start);
      RangeLock::Guard range(self.range_lock, start, end, RangeLock::Mode::kShared);
      if (const int err = self.read_aligned(&buffer, 0, end - start, start, &failed_leg); err != 0)
        return err;
      std::memcpy(at, buffer.data() + (offset - start), piece);
    }
    if (failed_leg != kNoLeg && !self.read_only) self.repair_read(failed_leg, start, end - start);
    at += piece;
    offset += piece;
    size -= piece;
  }
  return 0;
}

// The leg that the next try goes to; -1: none is left.
int MirrorSet::Impl::choose_leg(const LegView& seen, uint64_t offset, size_t length, ErrorBits tried) {
  bool in_sync = true;
  for (uint64_t at = regions->of(offset); at <= regions->of(offset + length - 1); at++)
    in_sync = in_sync && regions->in_sync(at);
  if (!in_sync && (seen.in_sync & ~tried & error_bit(seen.source)) != 0) return static_cast<int>(seen.source);
  // Every in-sync leg holds what was acknowledged; a rebuilding one only where it was copied.
  const ErrorBits candidates = (in_sync ? seen.active : seen.in_sync) & ~tried;
  if (candidates == 0) return -1;
  const int lowest = std::countr_zero(candidates);
  if (!in_sync) return lowest;
  const ErrorBits preferred = (candidates & seen.in_sync) != 0 ? candidates & seen.in_sync : candidates;
  switch (read_policy) {
    case ReadPolicy::kPrimary: return std::countr_zero(preferred);
    case ReadPolicy::kRoundRobin: {
      uint64_t skip = round_robin.fetch_add(1, std::memory_order_relaxed) %
                      static_cast<unsigned>(std::popcount(candidates));
      ErrorBits left = candidates;
      while (skip-- > 0) left &= left - 1;
      return std::countr_zero(left);
    }
    case ReadPolicy::kFastest: {
      const uint64_t turn = round_robin.fetch_add(1, std::memory_order_relaxed);
      int best = lowest;
      ErrorBits left = candidates;
      if (turn % kProbeEvery == 0) {
        uint64_t skip = turn / kProbeEvery % static_cast<unsigned>(std::popcount(candidates));
        while (skip-- > 0) left &= left - 1;
        return std::countr_zero(left);
      }
      for (; left != 0; left &= left - 1) {
        const int index = std::countr_zero(left);
        if (legs[static_cast<size_t>(index)]->counters.latency <
            legs[static_cast<size_t>(best)]->counters.latency)
          best = index;
      }
      return best;
    }
  }
  return lowest;
}

// Reads whole blocks into the buffer from one leg, with failover; the range is locked. `*failed_leg`: the
// first leg that had an error and is still in use, if any. A buffer whose I/O is late is replaced: what it
// held is lost.
int MirrorSet::Impl::read_aligned(BufferRef* buffer, size_t buffer_offset, size_t length, uint64_t offset,
                                  unsigned* failed_leg) {
  ErrorBits tried = 0;
  for (;;) {
    const LegView seen = current_view();
    const int chosen = choose_leg(seen, offset, length, tried);
    if (chosen < 0) {
      bool told = false;
      {
        MutexLock lock(state_mutex);
        told = std::exchange(set_failed_told, true);
      }
      if (!told) tell(SetEventKind::kSetFailed, -1, EIO, sectors_of(offset));
      return -EIO;
    }
    const auto index = static_cast<unsigned>(chosen);
    tried |= error_bit(index);
    DmIoResult result;
    const nanos_t started = now_nanos();
    dm_io.run(*buffer, IoOp::kRead, where, ~error_bit(index), offset, length, buffer_offset, deadline(),
              &result);
    LegCounters& counters = legs[index]->counters;
    counters.reads.fetch_add(1, std::memory_order_relaxed);
    counters.read_bytes.fetch_add(length, std::memory_order_relaxed);
    if (result.error_bits == 0) {
      const int64_t average = counters.latency.load(std::memory_order_relaxed);
      counters.latency.store(average + (now_nanos() - started - average) / 8, std::memory_order_relaxed);
      return 0;
    }
    if (result.late_bits != 0) {
      const size_t capacity = buffer->capacity();
      *buffer = dm_io.acquire(capacity);
      // A leg that does not answer is out at once; the last in-sync one stays and the caller gets the error.
      fail_legs(error_bit(index), LegErrorKind::kRead, result, offset);
      continue;
    }
    MutexLock lock(state_mutex);
    note_errors(error_bit(index), LegErrorKind::kRead, result, offset);
    if (*failed_leg == kNoLeg) *failed_leg = index;
  }
}

// A leg that could not give a range gets it rewritten from good data, and gives it back, or is out.
void MirrorSet::Impl::repair_read(unsigned leg, uint64_t offset, size_t length) {
  DmIoResult result;
  result.errnos.fill(0);
  result.errnos[leg] = -EIO;
  {
    RangeLock::Guard range(range_lock, offset, offset + length, RangeLock::Mode::kExclusive);
    const LegView seen = current_view();
    const ErrorBits others = seen.in_sync & ~error_bit(leg);
    if ((seen.active & error_bit(leg)) == 0 || others == 0) return;
    const auto good = static_cast<unsigned>((others & error_bit(seen.source)) != 0
                                                ? seen.source
                                                : static_cast<unsigned>(std::countr_zero(others)));
    BufferRef data = dm_io.acquire(length);
    BufferRef back = dm_io.acquire(length);
    DmIoResult step;
    dm_io.run(data, IoOp::kRead, where, ~error_bit(good), offset, length, 0, deadline(), &step);
    if (step.error_bits != 0) return;  // nothing to repair it from: the next read will see
    const uint64_t first = regions->of(offset);
    const uint64_t last = regions->of(offset + length - 1);
    if (regions->start_write(first, last) != 0) return;
    dm_io.run(data, IoOp::kWrite, where, ~error_bit(leg), offset, length, 0, deadline(), &step);
    if (step.error_bits == 0)
      dm_io.run(back, IoOp::kRead, where, ~error_bit(leg), offset, length, 0, deadline(), &step);
    regions->end_write(first, last);
    if (step.error_bits == 0 && std::memcmp(data.data(), back.data(), length) == 0) {
      legs[leg]->counters.repaired_reads.fetch_add(1, std::memory_order_relaxed);
      log_line(LogLevel::kWarn, "set " + name + ": rewrote " + std::to_string(length) + " bytes at sector " +
                                    std::to_string(sectors_of(offset)) + " of leg " + std::to_string(leg) +
                                    " from leg " + std::to_string(good));
      return;
    }
    if (step.error_bits != 0) result.errnos[leg] = step.errnos[leg];
  }
  if (fail_legs(error_bit(leg), LegErrorKind::kRead, result, offset))
    persist(current_view().state_generation);
}

}  // namespace dmiofs
