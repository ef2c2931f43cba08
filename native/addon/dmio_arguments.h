// DmioArguments: what JavaScript asks of dm-io in one request (NativeRequest of src/native/dmio.ts).
//
// JavaScript has checked what the arguments mean (src/dmio/); here their types and bounds are checked again, since a wrong one would touch
// memory that is not ours.
//
// THREAD SAFETY: parsed on the environment's thread. OWNERSHIP: it describes JavaScript's memory and must live, unmoved, as long as the request.
#pragma once

#include <napi.h>

#include <vector>

#include "dmio/dm_io.h"

namespace dmiofs {

struct DmioArguments {
  IoOp op = IoOp::kRead;
  std::vector<IoRegion> where;
  std::vector<BioVec> vecs;
  std::vector<PageList> pages;
  MemoryCursor memory = MemoryCursor::vm(nullptr, 0);
};

// The arguments of `call` from number `first` on: op, devices, sectors, counts, kind, pieces, offsets, lengths. kind: 0 page list
// (offsets[0]: into the first page), 1 bvec, 2 vm buffer, 3 no memory. False: with a TypeError pending.
bool parse_arguments(const Napi::CallbackInfo& call, size_t first, DmioArguments* request);

}  // namespace dmiofs
