// How discard and write-zeroes are said to fallocate(2), which block devices take too.
#pragma once

#include <fcntl.h>
#include <linux/falloc.h>

#include "device/device.h"
#include "engine/engine.h"

namespace dmiofs {

// On a file both punch a hole, which reads as zeros. On a block device punching a hole means "zeroes,
// unmapping where the device can, but no slow fallback" (blkdev_fallocate), and zeroing the range is always
// possible.
inline int fallocate_mode(IoOp op, const Device& device) {
  if (op == IoOp::kDiscard || device.info().kind == DeviceKind::kFile)
    return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

}  // namespace dmiofs
