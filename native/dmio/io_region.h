// IoRegion: a device, a start sector and a sector count (the kernel's io_region).
#pragma once

#include <memory>

#include "base/sector.h"
#include "device/device.h"

namespace dmiofs {

struct IoRegion {
  std::shared_ptr<Device> bdev;
  sector_t sector = 0;
  sector_t count = 0;
};

}  // namespace dmiofs
