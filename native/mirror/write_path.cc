// The life of a write: lock its range, make its sync regions dirty, one dm-io write to all legs, settle what
// failed, answer.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {

int MirrorSet::write(const void* data, size_t size, uint64_t offset) {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (self.read_only) return -EROFS;
  if (offset > self.size || size > self.size - offset) return -EINVAL;
  if (size == 0) return 0;
  self.user_ios.fetch_add(1, std::memory_order_relaxed);
  RangeLock::Guard range(self.range_lock, round_down(offset, self.block), round_up(offset + size, self.block),
                         RangeLock::Mode::kExclusive);
  const uint64_t first = self.regions->of(offset);
  const uint64_t last = self.regions->of(offset + size - 1);
  if (const int err = self.regions->start_write(first, last); err != 0) return self.note_log_failure(err);
  const int err = self.write_locked(static_cast<const uint8_t*>(data), size, offset);
  self.regions->end_write(first, last);
  return err;
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
  BufferRef buffer = dm_io.acquire(end - start);

  // Edges that do not fill a block are read first. No repair of what fails here: the write itself rewrites
  // it.
  const bool head = offset != start;
  const bool tail = offset + size_bytes != end;
  if (head || tail) {
    BufferRef edge = dm_io.acquire(block);
    unsigned failed_leg = 0;
    if (head) {
      if (const int err = read_aligned(&edge, 0, block, start, &failed_leg); err != 0) return err;
      std::memcpy(buffer.data(), edge.data(), block);
    }
    if (tail && !(head && end - start == block)) {
      if (const int err = read_aligned(&edge, 0, block, end - block, &failed_leg); err != 0) return err;
      std::memcpy(buffer.data() + (end - start - block), edge.data(), block);
    }
  }
  std::memcpy(buffer.data() + (offset - start), data, size_bytes);

  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  dm_io.run(buffer, IoOp::kWrite, where, ~seen.active, start, end - start, 0, deadline(), &result);
  for (unsigned index = 0; index < legs.size(); index++) {
    if ((seen.active & error_bit(index)) == 0) continue;
    legs[index]->counters.writes.fetch_add(1, std::memory_order_relaxed);
    legs[index]->counters.write_bytes.fetch_add(end - start, std::memory_order_relaxed);
  }
  return settle_write(seen, buffer, &result, LegErrorKind::kWrite, start, end - start);
}

int MirrorSet::flush() {
  Impl& self = *impl_;
  Impl::Inside inside(self);
  if (!inside.ok()) return -ESHUTDOWN;
  if (self.read_only) return 0;
  return self.flush_legs(LegErrorKind::kFlush);
}

int MirrorSet::Impl::flush_legs(LegErrorKind kind) {
  BufferRef buffer = dm_io.acquire(0);
  const LegView seen = current_view();
  if (seen.in_sync == 0) return -EIO;
  DmIoResult result;
  dm_io.run(buffer, IoOp::kFlush, where, ~seen.active, 0, 0, 0, deadline(), &result);
  for (unsigned index = 0; index < legs.size(); index++) {
    if ((seen.active & error_bit(index)) != 0)
      legs[index]->counters.flushes.fetch_add(1, std::memory_order_relaxed);
  }
  return settle_write(seen, buffer, &result, kind, 0, 0);
}

}  // namespace dmiofs
