// LogRig: a device for a log, that can lose its power and whose I/O can be made to fail, and a dm-io core on it.
//
// THREAD SAFETY: as its parts. OWNERSHIP: holds all of them.
#pragma once

#include <memory>

#include "dmio/dm_io.h"
#include "engine/fault.h"
#include "harness.h"
#include "powercut_device.h"

namespace dmiofs::test {

struct LogRig {
  explicit LogRig(uint64_t bytes, uint32_t logical_block = 512)
      : disks(seed()), rules(std::make_shared<FaultRules>()), bdev(disks.add("log", bytes, logical_block)) {
    DmIoOptions options;
    options.small_buffers = 4;
    options.large_buffers = 4;
    dm_io = DmIo::create(make_fault_engine(disks.engine(), rules), options).take();
  }

  PowercutDisks disks;
  std::shared_ptr<FaultRules> rules;
  std::shared_ptr<Device> bdev;
  std::unique_ptr<DmIo> dm_io;
};

}  // namespace dmiofs::test
