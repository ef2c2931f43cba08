#include "dmio/request.h"

#include <algorithm>
#include <cerrno>

namespace dmiofs {

int check_request(IoOp op, std::span<const IoRegion> where, MemoryCursor memory) {
  if (where.size() > kMaxIoRegions) return -EINVAL;
  if (op == IoOp::kRead && where.size() > 1) return -EINVAL;
  uint64_t longest = 0;
  for (const IoRegion& region : where) {
    if (region.bdev == nullptr) return -EBADF;
    if (region.count == 0) continue;
    const DeviceInfo& info = region.bdev->info();
    if (region.sector > UINT64_MAX >> (kSectorShift + 1) || region.count > UINT64_MAX >> (kSectorShift + 1))
      return -ERANGE;
    if (bytes_of(region.sector) + bytes_of(region.count) > info.size_bytes) return -ERANGE;
    if (!is_aligned(bytes_of(region.sector) | bytes_of(region.count), info.logical_block_size))
      return -EINVAL;
    if (op != IoOp::kRead && op != IoOp::kFlush && !info.writable) return -EBADF;
    longest = std::max(longest, bytes_of(region.count));
  }
  if (!carries_data(op)) return 0;
  uint64_t held = 0;
  while (held < longest) {
    const MemoryCursor::Piece piece = memory.piece();
    if (piece.length == 0 || !is_aligned(piece.length, kSectorSize)) return -EINVAL;
    held += piece.length;
    memory.advance(piece.length);
  }
  return 0;
}

void prepare_request(Request* request, IoOp op, std::span<const IoRegion> where, MemoryCursor memory) {
  request->op = op;
  request->memory = memory;
  request->outstanding = 1;
  request->result.error_bits = 0;
  request->result.late_bits = 0;
  request->result.errnos.fill(0);
  request->regions.clear();
  for (const IoRegion& region : where) {
    Request::RegionWork work;
    work.where = region;
    work.cursor = memory;
    work.done = region.count == 0 && op != IoOp::kFlush;
    request->regions.push_back(std::move(work));
  }
}

}  // namespace dmiofs
