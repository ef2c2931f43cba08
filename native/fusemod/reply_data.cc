#include "fusemod/reply_data.h"

#include <cerrno>
#include <utility>

// Last: it redefines names of the system's own headers.
#include <fuse_kernel.h>

namespace dmiofs {
namespace {

struct LentData {
  BufferRef buffer;
  const uint8_t* data = nullptr;  // null: nothing is lent
  size_t size = 0;
};
thread_local LentData t_lent;

}  // namespace

void lend_reply_data(BufferRef buffer, const uint8_t* data, size_t size) {
  t_lent.buffer = std::move(buffer);
  t_lent.data = data;
  t_lent.size = size;
}

bool place_reply_data(const iovec* parts, size_t count, iovec* out) {
  if (t_lent.data == nullptr) return false;
  auto* header = static_cast<fuse_out_header*>(parts[0].iov_base);
  if (header->error != 0) return false;  // carries no data
  if (count != 2 || parts[1].iov_len != t_lent.size) {
    header->error = -EIO;
    header->len = sizeof(*header);
    out[0] = parts[0];
    out[1] = {nullptr, 0};
    return true;
  }
  out[0] = parts[0];
  out[1] = {const_cast<uint8_t*>(t_lent.data), t_lent.size};
  return true;
}

void end_reply_data() {
  if (t_lent.data == nullptr) return;
  t_lent.data = nullptr;
  t_lent.buffer = BufferRef();
}

}  // namespace dmiofs
