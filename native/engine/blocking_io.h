// One Io by blocking system calls: what a thread of the threads engine does.
#pragma once

#include "engine/engine.h"

namespace dmiofs {

// 0 or -errno; settles short transfers and EINTR.
int do_blocking_io(Io& io) noexcept;

}  // namespace dmiofs
