// openIo and the fault rules: the process's engine.
#include <cerrno>

#include "addon/convert.h"
#include "addon/init.h"
#include "addon/io_context.h"

namespace dmiofs {
namespace {

bool engine_kind(const std::string& name, EngineKind* kind) {
  if (name == "auto")
    *kind = EngineKind::kAuto;
  else if (name == "uring")
    *kind = EngineKind::kUring;
  else if (name == "threads")
    *kind = EngineKind::kThreads;
  else if (name == "null")
    *kind = EngineKind::kNull;
  else
    return false;
  return true;
}

Napi::Value open_io_js(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  if (call.Length() < 1 || !call[0].IsObject()) {
    Napi::TypeError::New(env, "options must be an object").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto options = call[0].As<Napi::Object>();
  IoSettings settings;
  std::string engine;
  uint64_t max_run_bytes = settings.max_run_bytes;
  if (!get_string(options, "engine", &engine) || !get_optional_bool(options, "faults", &settings.faults) ||
      !get_optional_uint(options, "maxRunBytes", &max_run_bytes)) {
    return env.Undefined();
  }
  if (!engine_kind(engine, &settings.engine) || max_run_bytes < kPageSize ||
      max_run_bytes > 16 * 1024 * 1024 || !is_aligned(max_run_bytes, kPageSize)) {
    Napi::TypeError::New(env, "engine or maxRunBytes out of range").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  settings.max_run_bytes = max_run_bytes;
  if (auto opened = open_io(settings); !opened.ok()) {
    to_js_error(env, opened.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const IoContext* context = io_context().value();
  Napi::Object info = Napi::Object::New(env);
  info.Set("engine", context->engine_name);
  info.Set("reason", context->reason);
  return info;
}

FaultRules* rules(Napi::Env env) {
  auto context = io_context();
  FaultRules* found = context.ok() ? context.value()->fault_rules.get() : nullptr;
  if (found == nullptr) {
    to_js_error(env, Error{ENOTSUP, "fault rule", "", "open the I/O with faults: true"})
        .ThrowAsJavaScriptException();
  }
  return found;
}

bool fault_action(const std::string& name, FaultAction* action) {
  static const std::pair<const char*, FaultAction> kNames[] = {
      {"error", FaultAction::kError},    {"error-after", FaultAction::kErrorAfter},
      {"delay", FaultAction::kDelay},    {"hang", FaultAction::kHang},
      {"torn", FaultAction::kTorn},      {"drop", FaultAction::kDrop},
      {"corrupt", FaultAction::kCorrupt}};
  for (const auto& [known, value] : kNames) {
    if (name == known) {
      *action = value;
      return true;
    }
  }
  return false;
}

bool parse_ops(Napi::Object object, uint32_t* mask) {
  const Napi::Value ops = object.Get("ops");
  if (ops.IsUndefined()) return true;
  if (!ops.IsArray()) return false;
  const auto list = ops.As<Napi::Array>();
  *mask = 0;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsString()) return false;
    const std::string name = item.As<Napi::String>().Utf8Value();
    bool known = false;
    for (unsigned op = 0; op < kIoOps; op++) {
      if (name != to_string(static_cast<IoOp>(op))) continue;
      *mask |= 1u << op;
      known = true;
    }
    if (!known) return false;
  }
  return true;
}

Napi::Value fault_add(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  FaultRules* found = rules(env);
  if (found == nullptr) return env.Undefined();
  if (call.Length() < 1 || !call[0].IsObject()) {
    Napi::TypeError::New(env, "rule must be an object").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto object = call[0].As<Napi::Object>();
  FaultRule rule;
  std::string action;
  uint64_t chance = rule.chance_per_million;
  uint64_t error = static_cast<uint64_t>(rule.error);
  uint64_t delay_ms = 0;
  uint64_t delay_us = 0;
  if (!get_string(object, "action", &action) || !get_optional_string(object, "device", &rule.device) ||
      !get_optional_uint(object, "firstByte", &rule.first_byte) ||
      !get_optional_uint(object, "lastByte", &rule.last_byte) ||
      !get_optional_uint(object, "skip", &rule.skip) || !get_optional_uint(object, "times", &rule.times) ||
      !get_optional_uint(object, "chancePerMillion", &chance) ||
      !get_optional_uint(object, "seed", &rule.seed) || !get_optional_uint(object, "error", &error) ||
      !get_optional_uint(object, "delayMs", &delay_ms) || !get_optional_uint(object, "delayUs", &delay_us) ||
      !get_optional_uint(object, "tornBytes", &rule.torn_bytes)) {
    return env.Undefined();
  }
  if (!fault_action(action, &rule.action) || !parse_ops(object, &rule.ops) || error < 1 || error > 4095 ||
      chance > 1'000'000) {
    Napi::TypeError::New(env, "fault rule: unknown action or op, or a number out of range")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  rule.chance_per_million = static_cast<uint32_t>(chance);
  rule.error = static_cast<int>(error);
  rule.delay_nanos =
      static_cast<nanos_t>(delay_ms) * kNanosPerMilli + static_cast<nanos_t>(delay_us) * kNanosPerMicro;
  return number(env, found->add(rule));
}

Napi::Value io_buffers(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  auto context = io_context();
  if (!context.ok()) {
    to_js_error(env, context.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("total", context.value()->dm_io->total_buffers());
  object.Set("late", context.value()->dm_io->late_buffers());
  return object;
}

uint64_t rule_id(const Napi::CallbackInfo& call) {
  return call.Length() > 0 && call[0].IsNumber()
             ? static_cast<uint64_t>(call[0].As<Napi::Number>().Int64Value())
             : 0;
}

Napi::Value fault_remove(const Napi::CallbackInfo& call) {
  FaultRules* found = rules(call.Env());
  return Napi::Boolean::New(call.Env(), found != nullptr && found->remove(rule_id(call)));
}

Napi::Value fault_clear(const Napi::CallbackInfo& call) {
  if (FaultRules* found = rules(call.Env())) found->clear();
  return call.Env().Undefined();
}

Napi::Value fault_hits(const Napi::CallbackInfo& call) {
  FaultRules* found = rules(call.Env());
  return number(call.Env(), found == nullptr ? 0 : found->hits(rule_id(call)));
}

}  // namespace

void init_io(Napi::Env env, Napi::Object exports) {
  exports.Set("openIo", Napi::Function::New(env, open_io_js, "openIo"));
  exports.Set("ioBuffers", Napi::Function::New(env, io_buffers, "ioBuffers"));
  exports.Set("faultAdd", Napi::Function::New(env, fault_add, "faultAdd"));
  exports.Set("faultRemove", Napi::Function::New(env, fault_remove, "faultRemove"));
  exports.Set("faultClear", Napi::Function::New(env, fault_clear, "faultClear"));
  exports.Set("faultHits", Napi::Function::New(env, fault_hits, "faultHits"));
}

}  // namespace dmiofs
