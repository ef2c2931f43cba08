// The data of a READ's reply, sent to the kernel from the pooled buffer that the leg's I/O filled: no copy into libfuse's.
//
// libfuse 2.9 gives an operation memory for its answer and hands that to the channel; our channel (session_shim.cc) sends ours in its place.
//
//     lend_reply_data() --send()--> place_reply_data(): our bytes go out --sent--> end_reply_data(): the buffer is free
//
// A thread of the session receives a request, runs it and sends its reply, all on one thread: what is lent is per thread.
// THREAD SAFETY: thread-local state only. OWNERSHIP: holds the buffer until end_reply_data().
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "dmio/buffer.h"

namespace dmiofs {

// By on_read, on a thread that runs a request of our channel: `size` bytes at `data` in `buffer` are the answer, whatever libfuse's memory holds.
void lend_reply_data(BufferRef buffer, const uint8_t* data, size_t size);

// By the channel, for `parts` (header and data) of the reply that libfuse sends: true when `out` (2 of them) is to be sent instead.
// libfuse's own memory was never written: a reply that is not the one expected must not go out with it, and is made an EIO.
bool place_reply_data(const iovec* parts, size_t count, iovec* out);

// After a reply was sent, and before a request is received.
void end_reply_data();

}  // namespace dmiofs
