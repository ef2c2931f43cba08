// Edits of the FUSE protocol's messages between the kernel and libfuse 2.9 (protocol 7.19), by request.
//
// A thread of the session receives a request, runs it and sends its reply, all on one thread: what is known of the request is per thread.
//
// THREAD SAFETY: thread-local state only.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "fusemod/mount_context.h"

namespace dmiofs {

// After a request was read into `message`; may change it in place. False: it is too short to be one.
bool edit_request(MountContext& context, char* message, size_t size);

// The reply to the request that this thread received last shall carry `size`, not valid for any time.
void set_reply_size(uint64_t size);

// Room for an edited copy of a reply's payload.
struct ReplyEdit {
  iovec parts[2];
  alignas(8) char header[16];
  alignas(8) char payload[128];
};
// True when the reply had to be changed: `edit->parts` (2 of them) is to be sent instead. The length in its header is then that of `edit`.
bool edit_reply(MountContext& context, const iovec* parts, size_t count, ReplyEdit* edit);

}  // namespace dmiofs
