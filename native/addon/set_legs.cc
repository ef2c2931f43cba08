// The calls of a set's object that change its legs: what fails is said with what to do.
#include <cerrno>

#include "addon/async_task.h"
#include "addon/convert.h"
#include "addon/set_object.h"

namespace dmiofs {
namespace {

constexpr const char* kOwesAnswers = "the device has not yet answered what timed out on it";

// For a leg that comes, or comes back.
Result<LegDevice> open_leg_device(const std::string& path, sector_t sector, sector_t count) {
  DeviceOpen how;
  how.share = true;
  how.need_alignment = io_region_alignment(sector, count);
  auto opened = Device::open(path, how);
  if (!opened.ok()) return opened.error();
  return LegDevice{path, opened.take(), sector};
}

bool leg_argument(const Napi::CallbackInfo& call, int* leg) {
  if (call.Length() < 1 || !call[0].IsNumber()) {
    Napi::TypeError::New(call.Env(), "leg must be a number").ThrowAsJavaScriptException();
    return false;
  }
  *leg = call[0].As<Napi::Number>().Int32Value();
  return true;
}

}  // namespace

Napi::Value SetObject::fail_leg(const Napi::CallbackInfo& call) {
  int leg = 0;
  if (!leg_argument(call, &leg)) return call.Env().Undefined();
  return control(
      call, [leg](MirrorSet& set) { return leg < 0 ? -EINVAL : set.fail_leg(static_cast<unsigned>(leg)); },
      "fail leg");
}

Napi::Value SetObject::clear_errors(const Napi::CallbackInfo& call) {
  int leg = 0;
  if (!leg_argument(call, &leg)) return call.Env().Undefined();
  return control(call, [leg](MirrorSet& set) { return set.clear_errors(leg); }, "clear errors");
}

// beginRebuild(leg, { device, sector, full } ): without a device the one the leg has, or had, opened again by
// its path.
Napi::Value SetObject::begin_rebuild(const Napi::CallbackInfo& call) {
  int leg = 0;
  if (!leg_argument(call, &leg)) return call.Env().Undefined();
  bool full = false;
  std::string other;
  sector_t other_sector = 0;
  if (call.Length() > 1 && call[1].IsObject()) {
    const auto how = call[1].As<Napi::Object>();
    if (!get_optional_bool(how, "full", &full)) return call.Env().Undefined();
    if (!how.Get("device").IsUndefined() &&
        (!get_string(how, "device", &other) || !get_uint(how, "sector", &other_sector))) {
      return call.Env().Undefined();
    }
  }
  const std::shared_ptr<MirrorSet> set = set_;
  return AsyncTask::start(call.Env(), [set, leg, full, other, other_sector]() -> std::optional<Error> {
    const SetInfo info = set->snapshot();
    if (leg < 0 || static_cast<size_t>(leg) >= info.legs.size())
      return Error{EINVAL, "re-add leg", "set " + info.name, "no such leg"};
    const LegInfo& known = info.legs[static_cast<size_t>(leg)];
    // A device that hangs is not opened: that would hang too.
    if (other.empty() && known.late_ios > 0)
      return Error{EBUSY, "re-add leg " + std::to_string(leg), "set " + info.name, kOwesAnswers};
    // Opened again: what is under its path now may be another device, or the same one with a new descriptor.
    std::optional<LegDevice> device;
    auto opened = other.empty() ? open_leg_device(known.device, known.sector, info.count)
                                : open_leg_device(other, other_sector, info.count);
    if (opened.ok()) {
      device = opened.take();
    } else if (!other.empty() || known.state == LegState::kMissing || opened.error().err != EBUSY) {
      return opened.error();
    }
    const int err = set->begin_rebuild(static_cast<unsigned>(leg), device, full);
    if (err == 0) return std::nullopt;
    return Error{-err, "re-add leg " + std::to_string(leg), "set " + info.name,
                 err == -EEXIST   ? "it is in use"
                 : err == -ENOSPC ? "the device has become smaller than its I/O region"
                 : err == -EBUSY  ? kOwesAnswers
                                  : ""};
  });
}

// addLeg({ device, sector, replaces }): replaces -1: a leg more.
Napi::Value SetObject::add_leg(const Napi::CallbackInfo& call) {
  std::string path;
  sector_t sector = 0;
  int replaces = -1;
  if (call.Length() < 1 || !call[0].IsObject() || !get_string(call[0].As<Napi::Object>(), "device", &path) ||
      !get_uint(call[0].As<Napi::Object>(), "sector", &sector)) {
    if (!call.Env().IsExceptionPending())
      Napi::TypeError::New(call.Env(), "a leg must be an object").ThrowAsJavaScriptException();
    return call.Env().Undefined();
  }
  const Napi::Value place = call[0].As<Napi::Object>().Get("replaces");
  if (place.IsNumber()) replaces = place.As<Napi::Number>().Int32Value();
  const std::shared_ptr<MirrorSet> set = set_;
  return AsyncTask::start(call.Env(), [set, path, sector, replaces]() -> std::optional<Error> {
    const SetInfo info = set->snapshot();
    auto opened = open_leg_device(path, sector, info.count);
    if (!opened.ok()) return opened.error();
    const int err = set->add_leg(opened.value(), replaces);
    if (err >= 0) return std::nullopt;
    return Error{-err, "add leg " + path, "set " + info.name,
                 err == -ENOSPC     ? "the device is smaller than the set"
                 : err == -EINVAL   ? "its logical block is larger than the set's"
                 : err == -EEXIST   ? "it is a leg of the set already"
                 : err == -EALREADY ? "that leg is being replaced already"
                 : err == -E2BIG    ? "a set has at most 64 legs"
                 : err == -ENXIO    ? "no in-sync leg is left to copy from"
                 : err == -EBUSY    ? kOwesAnswers
                                    : ""};
  });
}

Napi::Value SetObject::remove_leg(const Napi::CallbackInfo& call) {
  int leg = 0;
  if (!leg_argument(call, &leg)) return call.Env().Undefined();
  return control(
      call, [leg](MirrorSet& set) { return leg < 0 ? -EINVAL : set.remove_leg(static_cast<unsigned>(leg)); },
      "remove leg");
}

Napi::Value SetObject::store_record(const Napi::CallbackInfo& call) {
  return control(call, [](MirrorSet& set) { return set.store_record(); }, "store the record");
}

Napi::Value SetObject::promote_leg(const Napi::CallbackInfo& call) {
  int leg = 0;
  if (!leg_argument(call, &leg)) return call.Env().Undefined();
  return control(
      call, [leg](MirrorSet& set) { return leg < 0 ? -EINVAL : set.promote_leg(static_cast<unsigned>(leg)); },
      "replace leg");
}

}  // namespace dmiofs
