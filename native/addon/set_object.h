// SetObject: a mirror set as a JavaScript object (NativeSet of src/native/set.ts).
//
// THREAD SAFETY: the environment's thread; events come from any thread through a thread-safe function that does not keep the process alive.
// OWNERSHIP: shares the set with the mount that shows it.
#pragma once

#include <napi.h>

#include <memory>

#include "mirror/mirror_set.h"

namespace dmiofs {

class SetObject final : public Napi::ObjectWrap<SetObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The object of `set`: JavaScript cannot make one itself.
  static Napi::Object make(Napi::Env env, std::shared_ptr<MirrorSet> set);
  explicit SetObject(const Napi::CallbackInfo& call);

  const std::shared_ptr<MirrorSet>& set() const { return set_; }

 private:
  Napi::Value snapshot(const Napi::CallbackInfo& call);
  Napi::Value fail_leg(const Napi::CallbackInfo& call);
  Napi::Value clear_errors(const Napi::CallbackInfo& call);
  Napi::Value begin_rebuild(const Napi::CallbackInfo& call);
  Napi::Value add_leg(const Napi::CallbackInfo& call);
  Napi::Value remove_leg(const Napi::CallbackInfo& call);
  Napi::Value store_record(const Napi::CallbackInfo& call);
  Napi::Value promote_leg(const Napi::CallbackInfo& call);
  Napi::Value statistics(const Napi::CallbackInfo& call);
  Napi::Value sync_map(const Napi::CallbackInfo& call);
  Napi::Value next_not_in_sync(const Napi::CallbackInfo& call);
  Napi::Value recover_sync_region(const Napi::CallbackInfo& call);
  Napi::Value compare_sync_region(const Napi::CallbackInfo& call);
  Napi::Value recovery_possible(const Napi::CallbackInfo& call);
  Napi::Value rebuilding(const Napi::CallbackInfo& call);
  Napi::Value activity(const Napi::CallbackInfo& call);
  Napi::Value set_sync_limits(const Napi::CallbackInfo& call);
  Napi::Value stop(const Napi::CallbackInfo& call);
  Napi::Value control(const Napi::CallbackInfo& call, std::function<int(MirrorSet&)> run, const char* step);

  std::shared_ptr<MirrorSet> set_;
};

// The set inside a JavaScript object; null, with a TypeError pending, when it is not one.
SetObject* unwrap_set(Napi::Value value);

// need_alignment of device/device.h for an I/O region: the largest power of two that divides its start and length in bytes.
uint32_t io_region_alignment(sector_t sector, sector_t count);

}  // namespace dmiofs
