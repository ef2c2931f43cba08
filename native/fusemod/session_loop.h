// SessionLoop: the threads that take a session's requests from the kernel, run them and answer them; what fuse_loop_mt() is in libfuse.
//
// libfuse 2.9 ends each thread that finds ten others idle, and makes it anew, with its stack and its buffer of 1 MiB, for the next request that finds
// none: with sixteen requests in flight a thread for each few of them. Here threads stay.
//
//     thread:  started --> waits for a request --> runs it --> waits ... --> ended: the session is over, or more than kKeptWorkers wait already
//
// One thread at least waits while it can be made: a request that hangs, on a device without a deadline, holds up no other.
//
// THREAD SAFETY: run_session_loop(), from one thread for each session. LOCK ORDER: the loop's mutex is a leaf.
// OWNERSHIP: the loop has its threads and their buffers; both are gone when it returns.
#pragma once

#include <cstddef>

struct fuse_chan;
struct fuse_session;

namespace dmiofs {

inline constexpr int kKeptWorkers =
    64;  // waiting at once; as many as the kernel sends of its own accord (max_background)

// Reads one request of at most `size` bytes into `buffer`. Its length; 0: the session is over; -errno.
using ReceiveRequest = int (*)(struct fuse_chan** channel, char* buffer, size_t size);

// Serves the session until it is unmounted or aborted, and all requests have been answered. 0, or -errno when no thread could be started.
int run_session_loop(struct fuse_session* session, struct fuse_chan* channel, ReceiveRequest receive);

}  // namespace dmiofs
