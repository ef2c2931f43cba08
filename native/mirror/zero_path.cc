// Zeroing and discarding a range: as a write, but that each leg may do it by itself; one that cannot gets
// zeros written.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

// What one transfer without data may cover: a file only frees space, a block device may have to write it all
// before the deadline.
constexpr uint64_t kFilePieceBytes = 256ull * 1024 * 1024;
constexpr uint64_t kBlockDevicePieceBytes = 16ull * 1024 * 1024;

// What the log is written for at once: in sync regions of the default size, one block of it.
constexpr uint64_t kMarkedAtOnce = 16ull * 1024 * 1024 * 1024;

bool is_unsupported(int err) {
  return err == -EOPNOTSUPP || err == -ENODEV || err == -EINVAL || err == -ENOSYS;
}

}  // namespace

int MirrorSet::zero(uint64_t offset, uint64_t size, bool discard) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  // Each piece is locked and marked by itself: a range of terabytes must not hold up everything. But the log is
  // written for many at once.
  uint64_t marked = offset;
  while (size > 0) {
    const uint64_t unit = self.zero_piece_bytes();
    const uint64_t piece = std::min(size, unit - offset % unit);
    if (offset >= marked && size > piece) {
      marked = offset + std::min(size, kMarkedAtOnce);
      if (const int err = self.regions->mark_log(self.regions->of(offset), self.regions->of(marked - 1));
          err != 0)
        return self.note_log_failure(err);
    }
    self.user_ios.fetch_add(1, std::memory_order_relaxed);
    RangeLock::Guard range(self.range_lock, round_down(offset, self.block),
                           round_up(offset + piece, self.block), RangeLock::Mode::kExclusive);
    const uint64_t first = self.regions->of(offset);
    const uint64_t last = self.regions->of(offset + piece - 1);
    if (const int err = self.start_write(first, last); err != 0) return err;
    const int err = self.zero_locked(offset, piece, discard);
    self.regions->end_write(first, last);
    if (err != 0) return err;
    offset += piece;
    size -= piece;
  }
  return 0;
}

uint64_t MirrorSet::Impl::zero_piece_bytes() const {
  MutexLock lock(state_mutex);
  for (const IoRegion& region : where) {
    if (region.bdev != nullptr && region.bdev->info().kind == DeviceKind::kBlock)
      return kBlockDevicePieceBytes;
  }
  return kFilePieceBytes;
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
  if (const int err = admit_write(); err != 0) return err;
  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  {
    BufferRef buffer = dm_io.acquire(0);  // carries the transfers only
    dm_io.run(buffer, discard ? IoOp::kDiscard : IoOp::kWriteZeroes, where, ~seen.active, offset, length, 0,
              deadline(), &result);
  }
  count_io(seen.active, LegOp::kZero, length, result);
  ErrorBits unsupported = 0;
  for (ErrorBits left = result.error_bits & ~result.late_bits; left != 0; left &= left - 1) {
    const auto index = lowest_index(left);
    if (is_unsupported(result.errnos[index])) unsupported |= error_bit(index);
  }
  if (unsupported != 0) {
    result.error_bits &= ~unsupported;
    write_zeros(unsupported, offset, length, &result);
  }
  return settle(seen, result, LegErrorKind::kWrite, offset, length);
}

// Writes zeros on the legs `on`, each until it fails; adds what failed to `result`.
void MirrorSet::Impl::write_zeros(ErrorBits on, uint64_t offset, uint64_t length, DmIoResult* result) {
  const size_t most = std::min<uint64_t>(length, dm_io.max_run_bytes());
  BufferRef zeros = dm_io.acquire(most);
  std::memset(zeros.data(), 0, most);
  for (uint64_t done = 0; done < length && on != 0;) {
    const size_t piece = std::min<uint64_t>(length - done, most);
    DmIoResult written;
    dm_io.run(zeros, IoOp::kWrite, where, ~on, offset + done, piece, 0, deadline(), &written);
    for (ErrorBits left = written.error_bits; left != 0; left &= left - 1) {
      const auto index = lowest_index(left);
      result->errnos[index] = written.errnos[index];
    }
    result->error_bits |= written.error_bits;
    result->late_bits |= written.late_bits;
    on &= ~written.error_bits;
    if (written.late_bits != 0 && on != 0) {
      zeros = BufferRef();
      zeros = dm_io.acquire(most);
      std::memset(zeros.data(), 0, most);
    }
    done += piece;
  }
}

}  // namespace dmiofs
