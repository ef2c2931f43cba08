// Control-plane log: rare lines about what happened to a set, a leg or a log. Never called per I/O.
//
// The addon sets the sink, which hands lines to the JavaScript logger; without one they go to stderr.
// THREAD SAFETY: any thread, with no lock held; the sink must not block.
#pragma once

#include <string>

namespace dmiofs {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

using LogSink = void (*)(LogLevel level, const std::string& line, void* context);

// When it returns, the sink set before is no longer in use.
void set_log_sink(LogSink sink, void* context);
void log_line(LogLevel level, const std::string& line);

}  // namespace dmiofs
