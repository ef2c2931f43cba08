// Between C++ and JavaScript values: coded errors, numbers, enumerations by name.
//
// THREAD SAFETY: the environment's thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace dmiofs {

// An Error with code (the errno's name), errno, step, object and hint: NativeError of src/native/error.ts.
Napi::Error to_js_error(Napi::Env env, const Error& error);

// Properties of an options object. They return false, with a TypeError pending that names `key`, when the
// value is missing or of a wrong type.
bool get_string(Napi::Object object, const char* key, std::string* out);
bool get_uint(Napi::Object object, const char* key, uint64_t* out);  // a safe integer >= 0
bool get_bool(Napi::Object object, const char* key, bool* out);
// The same where the property may be absent: then *out keeps its value.
bool get_optional_string(Napi::Object object, const char* key, std::string* out);
bool get_optional_uint(Napi::Object object, const char* key, uint64_t* out);
bool get_optional_bool(Napi::Object object, const char* key, bool* out);

Napi::Value number(Napi::Env env, uint64_t value);  // exact up to 2^53

}  // namespace dmiofs
