// Where an Io goes on after a short transfer: the contiguous rest of one vector, or the vectors after it.
// Without a copy of the array.
#pragma once

#include <algorithm>

#include "engine/engine.h"

namespace dmiofs {

inline constexpr size_t kMaxTransfer = size_t{1}
                                       << 30;  // of one vector at a time; the kernel takes less than 2 GiB

struct TransferRest {
  iovec single = {};  // used when `vectors` is null
  const iovec* vectors = nullptr;
  unsigned vector_count = 0;
};

inline TransferRest transfer_rest(const Io& io) {
  TransferRest rest;
  if (io.length == 0) return rest;
  uint64_t skip = io.done;
  unsigned index = 0;
  while (index < io.iov_count && skip >= io.iov[index].iov_len) skip -= io.iov[index++].iov_len;
  if (skip == 0 && io.iov_count - index > 1) {
    rest.vectors = io.iov + index;
    rest.vector_count = io.iov_count - index;
  } else {
    rest.single.iov_base = static_cast<char*>(io.iov[index].iov_base) + skip;
    rest.single.iov_len = std::min<size_t>(io.iov[index].iov_len - skip, kMaxTransfer);
  }
  return rest;
}

}  // namespace dmiofs
