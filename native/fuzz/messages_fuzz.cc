// The session's messages: a request as the kernel might send it, and a reply as libfuse might, of any length and content.
#include <sys/uio.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "fusemod/request_edit.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  dmiofs::MountContext context;
  context.features.want_writeback = (data[0] & 1) != 0;
  const size_t cut = data[1] % size;
  // Copies of exactly that size: what lies beyond is seen.
  std::vector<char> request(data + 2, data + std::max<size_t>(2, cut));
  std::vector<char> reply(data + std::max<size_t>(2, cut), data + size);
  (void)dmiofs::edit_request(context, request.data(), request.size());
  if ((data[0] & 2) != 0) dmiofs::set_reply_size(size);
  if (reply.size() < 16) return 0;
  const std::vector<char> header(reply.begin(), reply.begin() + 16);
  std::vector<char> body(reply.begin() + 16, reply.end());
  const iovec parts[2] = {{const_cast<char*>(header.data()), header.size()}, {body.data(), body.size()}};
  dmiofs::ReplyEdit edit;
  if (dmiofs::edit_reply(context, parts, (data[0] & 4) != 0 ? 1 : 2, &edit)) {
    uint32_t length = 0;
    std::memcpy(&length, edit.parts[0].iov_base, sizeof length);
    if (length != edit.parts[0].iov_len + edit.parts[1].iov_len ||
        edit.parts[1].iov_len > sizeof edit.payload)
      std::abort();
  }
  return 0;
}
