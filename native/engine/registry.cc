#include <sys/utsname.h>

#include <cerrno>
#include <cstring>

#include "engine/engine.h"

namespace dmiofs {

const char* to_string(IoOp op) {
  switch (op) {
    case IoOp::kRead: return "read";
    case IoOp::kWrite: return "write";
    case IoOp::kFlush: return "flush";
    case IoOp::kDiscard: return "discard";
    case IoOp::kWriteZeroes: return "write-zeroes";
  }
  return "?";
}

Result<EngineChoice> make_engine(EngineKind kind) {
  switch (kind) {
    case EngineKind::kNull: return EngineChoice{make_null_engine(), "null: no device is touched"};
    case EngineKind::kThreads: return EngineChoice{make_threads_engine(), "threads: as configured"};
    case EngineKind::kUring:
    case EngineKind::kAuto: break;
  }
  auto uring = make_uring_engine();
  if (uring.ok()) {
    utsname name = {};
    uname(&name);
    return EngineChoice{uring.take(), std::string("io_uring of kernel ") + name.release};
  }
  if (kind == EngineKind::kUring) return uring.error();
  return EngineChoice{make_threads_engine(),
                      "threads, since io_uring is not to be had: " + uring.error().message()};
}

}  // namespace dmiofs
