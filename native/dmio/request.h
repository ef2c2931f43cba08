// Request: one request of the dm-io services, sync or async, on its way (dmio/request_driver.h).
//
// It counts what is outstanding: it starts at 1 (the starter's own), each Io adds one, and whoever drops the last
// completes it once, with the error bits (kernel: struct io, dec_count).
//
//     request:  created --start()--> running --last reference--> completed (complete() called once)
//
// THREAD SAFETY: none: of one thread, its driver's. OWNERSHIP: the caller's until complete() ran.
#pragma once

#include <span>
#include <vector>

#include "dmio/dm_io.h"

namespace dmiofs {

struct Request {
  IoOp op = IoOp::kRead;
  MemoryCursor memory;
  DmIoResult result;
  void (*complete)(Request* request) = nullptr;
  void* context = nullptr;
  IoNotifyFn notify = nullptr;

  struct RegionWork {
    IoRegion where;
    MemoryCursor cursor;
    uint64_t issued = 0;          // bytes
    unsigned in_flight = 0;       // chunks
    bool zeros_by_write = false;  // the device cannot write zeroes by itself
    bool done = false;            // nothing more to issue
  };
  std::vector<RegionWork> regions;
  unsigned outstanding = 1;
  Request* next = nullptr;  // in an inbox
};

// 0 or the -errno of DmIo::sync.
int check_request(IoOp op, std::span<const IoRegion> where, MemoryCursor memory);
void prepare_request(Request* request, IoOp op, std::span<const IoRegion> where, MemoryCursor memory);

}  // namespace dmiofs
