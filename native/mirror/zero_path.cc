// Zeroing and discarding a range: as a write, but that each leg may do it by itself; one that cannot gets
// zeros written.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr uint64_t kZeroPieceBytes = 256ull * 1024 * 1024;

}  // namespace

int MirrorSet::zero(uint64_t offset, uint64_t size, bool discard) {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  // Each piece is locked and marked by itself: a range of terabytes must not hold up everything.
  while (size > 0) {
    const uint64_t piece = std::min(size, kZeroPieceBytes - offset % kZeroPieceBytes);
    RangeLock::Guard range(self.range_lock, round_down(offset, self.block),
                           round_up(offset + piece, self.block), RangeLock::Mode::kExclusive);
    self.user_ios.fetch_add(1, std::memory_order_relaxed);
    const uint64_t first = self.regions->of(offset);
    const uint64_t last = self.regions->of(offset + piece - 1);
    if (const int err = self.regions->start_write(first, last); err != 0) return self.note_log_failure(err);
    const int err = self.zero_locked(offset, piece, discard);
    self.regions->end_write(first, last);
    if (err != 0) return err;
    offset += piece;
    size -= piece;
  }
  return 0;
}

// Whole blocks by zero_piece, the edges that do not fill a block as a write of zeros.
int MirrorSet::Impl::zero_locked(uint64_t offset, uint64_t size_bytes, bool discard) {
  static const uint8_t kZeros[kMaxLogicalBlockSize] = {};
  const uint64_t end = offset + size_bytes;
  const uint64_t first_whole = std::min(round_up(offset, block), end);
  const uint64_t last_whole = std::max(round_down(end, block), first_whole);
  if (first_whole > offset) {
    if (const int err = write_piece(kZeros, first_whole - offset, offset); err != 0) return err;
  }
  if (last_whole > first_whole) {
    if (const int err = zero_piece(first_whole, last_whole - first_whole, discard); err != 0) return err;
  }
  return end > last_whole ? write_piece(kZeros, end - last_whole, last_whole) : 0;
}

int MirrorSet::Impl::zero_piece(uint64_t offset, uint64_t length, bool discard) {
  BufferRef buffer = dm_io.acquire(std::min<uint64_t>(length, dm_io.max_run_bytes()));
  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  dm_io.run(buffer, discard ? IoOp::kDiscard : IoOp::kWriteZeroes, where, ~seen.active, offset, length, 0,
            deadline(), &result);

  ErrorBits unsupported = 0;
  for (unsigned index = 0; index < legs.size(); index++) {
    if ((result.error_bits & error_bit(index)) != 0 && (result.late_bits & error_bit(index)) == 0 &&
        (result.errnos[index] == -EOPNOTSUPP || result.errnos[index] == -ENODEV ||
         result.errnos[index] == -EINVAL)) {
      unsupported |= error_bit(index);
    }
  }
  if (unsupported != 0) {
    result.error_bits &= ~unsupported;
    BufferRef zeros = dm_io.acquire(std::min<uint64_t>(length, dm_io.max_run_bytes()));
    std::memset(zeros.data(), 0, zeros.capacity());
    for (uint64_t done = 0; done < length && unsupported != 0;) {
      const size_t piece = std::min<uint64_t>(length - done, dm_io.max_run_bytes());
      DmIoResult written;
      dm_io.run(zeros, IoOp::kWrite, where, ~unsupported, offset + done, piece, 0, deadline(), &written);
      for (unsigned index = 0; index < legs.size(); index++) {
        if ((written.error_bits & error_bit(index)) == 0) continue;
        // A leg that hangs is waited for when it is the last good one: its late write must not land on later
        // data.
        if ((written.late_bits & error_bit(index)) != 0 &&
            (seen.in_sync & ~error_bit(index) & ~result.error_bits) == 0) {
          written.errnos[index] = dm_io.wait_late(zeros, index);
          if (written.errnos[index] == 0) continue;
        }
        result.error_bits |= error_bit(index);
        result.errnos[index] = written.errnos[index];
        unsupported &= ~error_bit(index);
      }
      if (written.late_bits != 0) {
        zeros = dm_io.acquire(std::min<uint64_t>(length, dm_io.max_run_bytes()));
        std::memset(zeros.data(), 0, zeros.capacity());
      }
      done += piece;
    }
  }
  return settle_write(seen, buffer, &result, LegErrorKind::kWrite, offset, length);
}

}  // namespace dmiofs
