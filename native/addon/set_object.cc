#include "addon/set_object.h"

#include <cerrno>

#include "addon/async_task.h"
#include "addon/convert.h"
#include "addon/set_values.h"

namespace dmiofs {
namespace {

constexpr napi_type_tag kSetTag = {0x8d3f0a6c51e94b27, 0xa1c46e0b97d25f38};

}  // namespace

Napi::Function SetObject::define(Napi::Env env) {
  return DefineClass(env, "NativeSet",
                     {
                         InstanceMethod("snapshot", &SetObject::snapshot),
                         InstanceMethod("failLeg", &SetObject::fail_leg),
                         InstanceMethod("clearErrors", &SetObject::clear_errors),
                         InstanceMethod("beginRebuild", &SetObject::begin_rebuild),
                         InstanceMethod("addLeg", &SetObject::add_leg),
                         InstanceMethod("removeLeg", &SetObject::remove_leg),
                         InstanceMethod("storeRecord", &SetObject::store_record),
                         InstanceMethod("promoteLeg", &SetObject::promote_leg),
                         InstanceMethod("statistics", &SetObject::statistics),
                         InstanceMethod("syncMap", &SetObject::sync_map),
                         InstanceMethod("nextNotInSync", &SetObject::next_not_in_sync),
                         InstanceMethod("recoverSyncRegion", &SetObject::recover_sync_region),
                         InstanceMethod("compareSyncRegion", &SetObject::compare_sync_region),
                         InstanceMethod("recoveryPossible", &SetObject::recovery_possible),
                         InstanceMethod("rebuilding", &SetObject::rebuilding),
                         InstanceMethod("activity", &SetObject::activity),
                         InstanceMethod("setSyncLimits", &SetObject::set_sync_limits),
                         InstanceMethod("stop", &SetObject::stop),
                     });
}

SetObject::SetObject(const Napi::CallbackInfo& call) : Napi::ObjectWrap<SetObject>(call) {
  if (call.Length() < 1 || !call[0].IsExternal()) {
    Napi::TypeError::New(call.Env(), "sets are made by openSet").ThrowAsJavaScriptException();
    return;
  }
  set_ = std::move(*call[0].As<Napi::External<std::shared_ptr<MirrorSet>>>().Data());
  call.This().As<Napi::Object>().TypeTag(&kSetTag);
}

Napi::Object SetObject::make(Napi::Env env, std::shared_ptr<MirrorSet> set) {
  const auto given = Napi::External<std::shared_ptr<MirrorSet>>::New(env, &set);
  return env.GetInstanceData<Napi::FunctionReference>()->New({given});
}

SetObject* unwrap_set(Napi::Value value) {
  if (value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kSetTag)) {
    return SetObject::Unwrap(value.As<Napi::Object>());
  }
  Napi::TypeError::New(value.Env(), "set must be a set of openSet").ThrowAsJavaScriptException();
  return nullptr;
}

Napi::Value SetObject::snapshot(const Napi::CallbackInfo& call) {
  return snapshot_object(call.Env(), set_->snapshot());
}

Napi::Value SetObject::statistics(const Napi::CallbackInfo& call) {
  return statistics_array(call.Env(), set_->leg_totals());
}

Napi::Value SetObject::sync_map(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const int64_t most = call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().Int64Value() : 0;
  if (most < 1) {
    Napi::TypeError::New(env, "syncMap takes the number of cells").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return sync_map_object(env, set_->sync_map(static_cast<size_t>(most)));
}

// A control call that may have to write the record: on a worker, so that a slow log does not block the loop.
Napi::Value SetObject::control(const Napi::CallbackInfo& call, std::function<int(MirrorSet&)> run,
                               const char* step) {
  const std::shared_ptr<MirrorSet> set = set_;
  const std::string name = set->snapshot().name;
  return AsyncTask::start(call.Env(), [set, name, step, run = std::move(run)]() -> std::optional<Error> {
    const int err = run(*set);
    if (err >= 0) return std::nullopt;
    return Error{-err, step, "set " + name, ""};
  });
}

Napi::Value SetObject::next_not_in_sync(const Napi::CallbackInfo& call) {
  const double from = call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().DoubleValue() : 0;
  const int64_t found = set_->next_not_in_sync(from < 0 ? 0 : static_cast<uint64_t>(from));
  return Napi::Number::New(call.Env(), static_cast<double>(found));
}

Napi::Value SetObject::recover_sync_region(const Napi::CallbackInfo& call) {
  const double at = call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().DoubleValue() : -1;
  const std::shared_ptr<MirrorSet> set = set_;
  auto outcome = std::make_shared<int>(0);
  return AsyncTask::start(
      call.Env(),
      [set, at, outcome]() -> std::optional<Error> {
        *outcome = at < 0 ? -EINVAL : set->recover_sync_region(static_cast<uint64_t>(at));
        return std::nullopt;
      },
      [outcome](Napi::Env env) -> Napi::Value {
        return Napi::String::New(env, *outcome == 0 ? "copied" : *outcome > 0 ? "skipped" : "failed");
      });
}

Napi::Value SetObject::compare_sync_region(const Napi::CallbackInfo& call) {
  const double at = call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().DoubleValue() : -1;
  const bool repair = call.Length() > 1 && call[1].IsBoolean() && call[1].As<Napi::Boolean>().Value();
  struct Outcome {
    int err = 0;
    Comparison found;
  };
  const std::shared_ptr<MirrorSet> set = set_;
  auto outcome = std::make_shared<Outcome>();
  return AsyncTask::start(
      call.Env(),
      [set, at, repair, outcome]() -> std::optional<Error> {
        outcome->err =
            at < 0 ? -EINVAL : set->compare_sync_region(static_cast<uint64_t>(at), repair, &outcome->found);
        return std::nullopt;
      },
      [outcome](Napi::Env env) -> Napi::Value {
        return comparison_object(env, outcome->err, outcome->found);
      });
}

Napi::Value SetObject::recovery_possible(const Napi::CallbackInfo& call) {
  return Napi::Boolean::New(call.Env(), set_->recovery_possible());
}
Napi::Value SetObject::rebuilding(const Napi::CallbackInfo& call) {
  return Napi::Boolean::New(call.Env(), set_->rebuilding());
}
Napi::Value SetObject::activity(const Napi::CallbackInfo& call) {
  return number(call.Env(), set_->activity());
}

Napi::Value SetObject::set_sync_limits(const Napi::CallbackInfo& call) {
  bool paused = false;
  uint64_t low = 0;
  uint64_t high = 0;
  if (call.Length() < 1 || !call[0].IsObject()) {
    Napi::TypeError::New(call.Env(), "limits must be an object").ThrowAsJavaScriptException();
    return call.Env().Undefined();
  }
  const auto object = call[0].As<Napi::Object>();
  if (!get_bool(object, "paused", &paused) || !get_uint(object, "speedMin", &low) ||
      !get_uint(object, "speedMax", &high)) {
    return call.Env().Undefined();
  }
  return control(
      call, [paused, low, high](MirrorSet& set) { return set.set_sync_limits(paused, low, high); },
      "keep sync limits");
}

Napi::Value SetObject::stop(const Napi::CallbackInfo& call) {
  const std::shared_ptr<MirrorSet> set = set_;
  return AsyncTask::start(call.Env(), [set]() -> std::optional<Error> {
    set->stop();
    return std::nullopt;
  });
}

}  // namespace dmiofs
