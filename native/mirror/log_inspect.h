// inspect_log: what a log holds, for people and for `dmiofs table`. Looks only: writes nothing, locks nothing, also while a set uses the log (what it
// sees then may be a moment old).
//
// THREAD SAFETY: setup, any thread.
#pragma once

#include <string>

#include "mirror/log_format.h"

namespace dmiofs {

class DmIo;

struct InspectedLog {
  uint64_t size_bytes = 0;
  uint32_t logical_block = 512;
  ParsedLog log;
};

Result<InspectedLog> inspect_log(DmIo& dm_io, const std::string& path);

}  // namespace dmiofs
