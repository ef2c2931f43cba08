// What is at the place where a log is to be made, as far as it says whether one may be written there.
//
// THREAD SAFETY: setup, one caller. It only reads.
#pragma once

#include <memory>

#include "mirror/log_format.h"

namespace dmiofs {

class Device;
class DmIo;

struct LogPlace {
  LogHeader header;
  bool blank = false;         // where we would write, and wherever a signature may be
  bool record_blank = false;  // where the record goes: zeros, ones, or beyond a file's end
  ParsedRecord record;
};

// `geometry`: of the log that is to be made.
Result<LogPlace> look_at_log_place(DmIo& dm_io, const std::shared_ptr<Device>& bdev,
                                   const LogGeometry& geometry);

}  // namespace dmiofs
