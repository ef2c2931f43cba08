#include "addon/io_context.h"

#include <cerrno>

#include "base/mutex.h"

namespace dmiofs {
namespace {

Mutex g_mutex;
IoContext* g_context GUARDED_BY(g_mutex) = nullptr;

Result<IoContext*> make_context(const IoSettings& settings) {
  auto choice = make_engine(settings.engine);
  if (!choice.ok()) return choice.error();
  auto context = std::make_unique<IoContext>();
  std::shared_ptr<Engine> engine = choice.value().engine;
  context->reason = choice.value().reason;
  if (settings.faults) {
    context->fault_rules = std::make_shared<FaultRules>();
    engine = make_fault_engine(engine, context->fault_rules);
  }
  context->engine_name = engine->name();
  DmIoOptions options;
  options.max_run_bytes = settings.max_run_bytes;
  auto dm_io = DmIo::create(engine, options);
  if (!dm_io.ok()) return dm_io.error();
  context->dm_io = dm_io.take();
  return context.release();
}

}  // namespace

Status open_io(const IoSettings& settings) {
  MutexLock lock(g_mutex);
  if (g_context != nullptr)
    return Error{EALREADY, "open I/O", "", "the engine is chosen once in a process, before its first use"};
  auto made = make_context(settings);
  if (!made.ok()) return made.error();
  g_context = made.value();
  return ok_status();
}

Result<IoContext*> io_context() {
  MutexLock lock(g_mutex);
  if (g_context == nullptr) {
    auto made = make_context(IoSettings{});
    if (!made.ok()) return made.error();
    g_context = made.value();
  }
  return g_context;
}

}  // namespace dmiofs
