#include "addon/convert.h"

#include "base/errno_name.h"

namespace dmiofs {
namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;

bool wrong(Napi::Env env, const char* key, const char* wanted) {
  Napi::TypeError::New(env, std::string(key) + " must be " + wanted).ThrowAsJavaScriptException();
  return false;
}

bool absent(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsUndefined() || value.IsNull();
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.message());
  Napi::Object value = js.Value();
  value.Set("code", errno_name(error.err));
  value.Set("errno", error.err);
  value.Set("step", error.step);
  value.Set("object", error.object);
  value.Set("hint", error.hint);
  return js;
}

bool get_string(Napi::Object object, const char* key, std::string* out) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) return wrong(object.Env(), key, "a string");
  *out = value.As<Napi::String>().Utf8Value();
  return true;
}

bool get_uint(Napi::Object object, const char* key, uint64_t* out) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) return wrong(object.Env(), key, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0) || number > kMaxSafeInteger ||
      number != static_cast<double>(static_cast<uint64_t>(number))) {
    return wrong(object.Env(), key, "an integer from 0 to 2^53 - 1");
  }
  *out = static_cast<uint64_t>(number);
  return true;
}

bool get_bool(Napi::Object object, const char* key, bool* out) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) return wrong(object.Env(), key, "true or false");
  *out = value.As<Napi::Boolean>().Value();
  return true;
}

bool get_optional_string(Napi::Object object, const char* key, std::string* out) {
  return absent(object, key) || get_string(object, key, out);
}

bool get_optional_uint(Napi::Object object, const char* key, uint64_t* out) {
  return absent(object, key) || get_uint(object, key, out);
}

bool get_optional_bool(Napi::Object object, const char* key, bool* out) {
  return absent(object, key) || get_bool(object, key, out);
}

Napi::Value number(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

}  // namespace dmiofs
