// IoContext: the process's engine and dm-io core, shared by all sets, the dm-io API and all environments.
//
// STATES: closed --open_io()--> open, for the life of the process: native threads may hold I/O on it at any
// time.
// THREAD SAFETY: thread-safe. OWNERSHIP: a process-wide singleton, never destroyed.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "dmio/dm_io.h"
#include "engine/engine.h"
#include "engine/fault.h"

namespace dmiofs {

struct IoSettings {
  EngineKind engine = EngineKind::kAuto;
  bool faults = false;
  size_t max_run_bytes = 128 * 1024;
};

struct IoContext {
  std::unique_ptr<DmIo> dm_io;
  std::shared_ptr<FaultRules> fault_rules;  // null without `faults`
  std::string engine_name;
  std::string reason;
};

// EALREADY when it is open already.
Status open_io(const IoSettings& settings);
// The open context; opens one with the defaults when there is none.
Result<IoContext*> io_context();

}  // namespace dmiofs
