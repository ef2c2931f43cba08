// The session shim: this addon's own fuse_mount(), fuse_new(), fuse_loop_mt() and fuse_unmount(), which fuse-native binds to because the addon is
// loaded before it with RTLD_GLOBAL. It owns the /dev/fuse channel, and sees every request and reply.
//
// What it is for
// - close-on-exec on the channel's descriptor: a child of the daemon must not keep a dead mount's connection open;
// - no use after free at the session's end: fuse-native unmounts, which frees the channel, and then takes the channel out of the session;
// - nothing stays mounted when fuse_new() fails, say by an option it does not know: every access would hang while the process lives;
// - threads that stay (session_loop.h);
// - what libfuse 2.9 cannot pass on: touch(1) of one time only, and the end of cached data after an ftruncate() that zeroes;
// - what it does not speak: 1 MiB requests, parallel and asynchronous direct I/O and more (session_features.h).
// A mount without our option `dmiofs_mount=ID` goes to libfuse unchanged. Without the shim a mount works with libfuse's limits.
//
//     session:  mounted --fuse_unmount()--> closed --end_session()--> freed
//                     \---- fuse_new() fails -------------------------> freed
//
// THREAD SAFETY: every function, any thread. LOCK ORDER: the list of sessions' mutex is a leaf.
// OWNERSHIP: a session holds its context; it is freed by end_session(), when libfuse uses its channel no more.
#pragma once

#include <cstdint>

#include "fusemod/mount_context.h"

namespace dmiofs {

// From `destroy`, and after a fuse_new() that failed: frees the channel; closes and unmounts first where fuse_unmount() has not.
void end_session(MountContext& context);

// For the request that runs on this thread, a SETATTR with a size: its reply shall say that the file has `size` bytes now, and that it must be
// asked for again at once. The kernel then drops what it has cached beyond. False: there is no shim, it cannot be done.
bool reply_truncated_to(MountContext& context, uint64_t size);

}  // namespace dmiofs
