// How long each stage of the mount's requests takes (base/stage_times.h).
#include "addon/convert.h"
#include "addon/init.h"
#include "base/stage_times.h"

namespace dmiofs {
namespace {

Napi::Value enable_stage_times(const Napi::CallbackInfo& call) {
  StageTimes::enable(call.Length() > 0 && call[0].ToBoolean().Value());
  return call.Env().Undefined();
}

Napi::Object summary_object(Napi::Env env, const StageSummary& summary) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("count", number(env, summary.count));
  object.Set("mean", number(env, summary.count == 0 ? 0 : summary.total / summary.count));
  object.Set("p50", number(env, summary.p50));
  object.Set("p99", number(env, summary.p99));
  object.Set("max", number(env, summary.max));
  return object;
}

Napi::Value stage_times(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (!StageTimes::enabled()) return env.Null();
  Napi::Object all = Napi::Object::New(env);
  for (unsigned op = 0; op < kTimedOps; op++) {
    const auto timed = static_cast<TimedOp>(op);
    Napi::Object stages = Napi::Object::New(env);
    for (unsigned at = 0; at < kStages; at++) {
      const auto stage = static_cast<Stage>(at);
      const StageSummary summary = StageTimes::of(timed, stage);
      if (summary.count > 0) stages.Set(to_string(stage), summary_object(env, summary));
    }
    const StageSummary whole = StageTimes::whole(timed);
    if (whole.count > 0) stages.Set("whole", summary_object(env, whole));
    all.Set(to_string(timed), stages);
  }
  return all;
}

}  // namespace

void init_stages(Napi::Env env, Napi::Object exports) {
  exports.Set("enableStageTimes", Napi::Function::New(env, enable_stage_times, "enableStageTimes"));
  exports.Set("stageTimes", Napi::Function::New(env, stage_times, "stageTimes"));
}

}  // namespace dmiofs
