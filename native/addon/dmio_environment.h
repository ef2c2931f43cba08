// DmioEnvironment: what one JavaScript environment (the main thread, or a worker) has under way of asynchronous dm-io, and its completions.
//
// Completions come on dm-io's thread; they gather here and go to JavaScript in one call for all that are there.
//
// STATES: open --the environment ends--> closing (waits for the requests in flight: their memory is the environment's) -> closed.
// THREAD SAFETY: thread-safe. LOCK ORDER: leaf. OWNERSHIP: shared by the environment and each request under way.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "addon/js_callback.h"
#include "base/mutex.h"
#include "dmio/dm_io.h"

namespace dmiofs {

struct DmioCompletion {
  double id = 0;  // JavaScript's
  ErrorBits error_bits = 0;
  std::vector<int> errnos;  // positive, by I/O region; empty when no bit is on
};

class DmioEnvironment : public std::enable_shared_from_this<DmioEnvironment> {
 public:
  // `on_complete` gets one array: id, error bits (0 or a BigInt), errnos (null or an array), id, ...
  static std::shared_ptr<DmioEnvironment> make(Napi::Env env, Napi::Function on_complete);

  bool begin();  // false: closing
  void complete(DmioCompletion completion);
  void abandon();  // of one that was begun and did not start
  void close();    // the environment's thread

 private:
  void drain(Napi::Env env, std::vector<napi_value>* out);

  std::shared_ptr<JsCallback> callback_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<DmioCompletion> completed_ GUARDED_BY(mutex_);
  bool scheduled_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  unsigned in_flight_ GUARDED_BY(mutex_) = 0;
};

// errorBits and errnos as JavaScript sees them: 0 or a BigInt; null or an array of positive errnos.
napi_value error_bits_value(Napi::Env env, ErrorBits bits);
napi_value errnos_value(Napi::Env env, const std::vector<int>& errnos);
std::vector<int> positive_errnos(const DmIoResult& result, size_t regions);

}  // namespace dmiofs
