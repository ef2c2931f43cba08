// ScrubPass: one sync region being compared, and in a repair made equal (scrub.cc, scrub_repair.cc).
//
// THREAD SAFETY: of the thread that compares. OWNERSHIP: on that thread's stack; holds the memory for what legs hold of a piece.
#pragma once

#include <memory>
#include <new>
#include <vector>

#include "mirror/comparison.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

struct MirrorSet::Impl::ScrubPass {
  uint64_t sync_region;
  bool repair;
  ComparisonBuilder builder;

  std::unique_ptr<uint8_t[]> memory;  // what legs hold
  size_t memory_size = 0;
  LegPieces pieces;
  std::vector<Difference> differences;

  // Of the piece.
  uint64_t epoch = 0;
  ErrorBits unreadable = 0;  // and still in use
  bool mended = false;       // something was written

  // Legs that have stepped aside, and the generation that names this.
  ErrorBits aside = 0;
  uint64_t aside_generation = 0;  // of the first of them
  uint64_t aside_epoch = 0;

  bool make_room(size_t bytes) {
    if (bytes <= memory_size) return true;
    memory.reset(new (std::nothrow) uint8_t[bytes]);
    memory_size = memory == nullptr ? 0 : bytes;
    return memory != nullptr;
  }
};

}  // namespace dmiofs
