#include "addon/set_object.h"

#include <cerrno>

#include "addon/async_task.h"
#include "addon/convert.h"

namespace dmiofs {
namespace {

constexpr napi_type_tag kSetTag = {0x8d3f0a6c51e94b27, 0xa1c46e0b97d25f38};

Napi::Object leg_object(Napi::Env env, const LegInfo& leg) {
  Napi::Object object = Napi::Object::New(env);
  const auto errors = [&leg](LegErrorKind kind) { return leg.errors.count[static_cast<unsigned>(kind)]; };
  object.Set("device", leg.device);
  object.Set("sector", number(env, leg.sector));
  object.Set("count", number(env, leg.count));
  object.Set("state", to_string(leg.state));
  object.Set("replaces", leg.replaces);
  object.Set("lateIos", leg.late_ios);
  object.Set("health", std::string(1, leg.health));
  object.Set("readErrors", number(env, errors(LegErrorKind::kRead)));
  object.Set("writeErrors", number(env, errors(LegErrorKind::kWrite)));
  object.Set("flushErrors", number(env, errors(LegErrorKind::kFlush)));
  object.Set("syncErrors", number(env, errors(LegErrorKind::kSync)));
  object.Set("lastErrno", leg.errors.last_errno);
  object.Set("lastErrorSector", number(env, leg.errors.last_sector));
  object.Set("lastErrorTime", number(env, static_cast<uint64_t>(leg.errors.last_time)));
  object.Set("reads", number(env, leg.reads));
  object.Set("writes", number(env, leg.writes));
  object.Set("flushes", number(env, leg.flushes));
  object.Set("readBytes", number(env, leg.read_bytes));
  object.Set("writeBytes", number(env, leg.write_bytes));
  object.Set("repairedReads", number(env, leg.repaired_reads));
  return object;
}

Napi::Object comparison_object(Napi::Env env, int outcome, const Comparison& found) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("outcome", outcome == 0 ? "compared" : outcome > 0 ? "skipped" : "failed");
  object.Set("rangeCount", number(env, found.range_count));
  object.Set("sectors", number(env, found.sectors));
  object.Set("repairedCount", number(env, found.repaired_count));
  Napi::Array ranges = Napi::Array::New(env, found.ranges.size());
  for (uint32_t i = 0; i < found.ranges.size(); i++) {
    const DifferingRange& range = found.ranges[i];
    Napi::Object told = Napi::Object::New(env);
    told.Set("sector", number(env, range.sector));
    told.Set("count", number(env, range.count));
    told.Set("majority", range.majority);
    told.Set("repaired", range.repaired);
    Napi::Array legs = Napi::Array::New(env, range.legs.size());
    for (uint32_t at = 0; at < range.legs.size(); at++) {
      const LegContent& content = range.legs[at];
      Napi::Object leg = Napi::Object::New(env);
      leg.Set("leg", content.leg);
      leg.Set("sha256", hex(content.sha256));
      leg.Set("right", (range.right & error_bit(content.leg)) != 0);
      legs.Set(at, leg);
    }
    told.Set("legs", legs);
    ranges.Set(i, told);
  }
  object.Set("ranges", ranges);
  return object;
}

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
  const Napi::Env env = call.Env();
  const SetInfo info = set_->snapshot();
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", info.name);
  object.Set("count", number(env, info.count));
  object.Set("blockSize", number(env, info.block_size));
  object.Set("state", to_string(info.state));
  object.Set("readBits", Napi::BigInt::New(env, info.read_bits));
  object.Set("writeBits", Napi::BigInt::New(env, info.write_bits));
  object.Set("flushBits", Napi::BigInt::New(env, info.flush_bits));
  object.Set("syncRegions", number(env, info.sync_regions));
  object.Set("inSyncRegions", number(env, info.in_sync_regions));
  object.Set("dirtySyncRegions", number(env, info.dirty_sync_regions));
  object.Set("syncRegionSectors", number(env, info.sync_region_sectors));
  object.Set("readLeg", info.read_leg);
  object.Set("readOnly", info.read_only);
  object.Set("logFailed", info.log_failed);
  object.Set("generation", number(env, info.generation));
  object.Set("lateIos", info.late_ios);
  object.Set("inFlight", info.in_flight);
  object.Set("paused", info.paused);
  object.Set("limitsSet", info.limits_set);
  object.Set("speedMin", number(env, info.speed_min));
  object.Set("speedMax", number(env, info.speed_max));
  Napi::Array legs = Napi::Array::New(env, info.legs.size());
  for (uint32_t i = 0; i < info.legs.size(); i++) legs.Set(i, leg_object(env, info.legs[i]));
  object.Set("legs", legs);
  return object;
}

Napi::Value SetObject::statistics(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  static const char* const kNames[kLegOps] = {"read", "write", "flush", "zero"};
  const std::vector<LegTotals> totals = set_->leg_totals();
  Napi::Array legs = Napi::Array::New(env, totals.size());
  for (uint32_t leg = 0; leg < totals.size(); leg++) {
    Napi::Object ops = Napi::Object::New(env);
    for (unsigned op = 0; op < kLegOps; op++) {
      const LegOpTotal& total = totals[leg][op];
      Napi::Array buckets = Napi::Array::New(env, kLatencyBuckets);
      for (uint32_t k = 0; k < kLatencyBuckets; k++) buckets.Set(k, number(env, total.buckets[k]));
      Napi::Object object = Napi::Object::New(env);
      object.Set("bytes", number(env, total.bytes));
      object.Set("seconds", Napi::Number::New(env, static_cast<double>(total.nanos) / 1e9));
      object.Set("buckets", buckets);
      ops.Set(kNames[op], object);
    }
    legs.Set(leg, ops);
  }
  return legs;
}

Napi::Value SetObject::sync_map(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const int64_t most = call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().Int64Value() : 0;
  if (most < 1) {
    Napi::TypeError::New(env, "syncMap takes the number of cells").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const SyncMap map = set_->sync_map(static_cast<size_t>(most));
  Napi::Uint8Array cells = Napi::Uint8Array::New(env, map.cells.size());
  for (size_t i = 0; i < map.cells.size(); i++) cells[i] = static_cast<uint8_t>(map.cells[i]);
  Napi::Object object = Napi::Object::New(env);
  object.Set("syncRegions", number(env, map.sync_regions));
  object.Set("perCell", number(env, map.per_cell));
  object.Set("cells", cells);
  return object;
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
