#include "base/log.h"

#include <cstdio>

#include "base/mutex.h"

namespace dmiofs {
namespace {

Mutex g_mutex;
LogSink g_sink GUARDED_BY(g_mutex) = nullptr;
void* g_context GUARDED_BY(g_mutex) = nullptr;

}  // namespace

void set_log_sink(LogSink sink, void* context) {
  MutexLock lock(g_mutex);
  g_sink = sink;
  g_context = context;
}

void log_line(LogLevel level, const std::string& line) {
  MutexLock lock(g_mutex);
  if (g_sink != nullptr) {
    g_sink(level, line, g_context);
  } else {
    std::fprintf(stderr, "dmiofs: %s\n", line.c_str());
  }
}

}  // namespace dmiofs
