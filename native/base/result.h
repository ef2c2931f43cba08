// Result<T>: what a setup step returns, a value or an Error.
//
// An Error names the errno and the step that failed, with the object it failed on, so that a message can say
// "open /dev/sdb: Permission denied" without a lookup. The data path does not use it: there, functions return
// 0 or a negative errno, as a completion does.
//
// THREAD SAFETY: none needed, values. OWNERSHIP: by value; move-only T is fine.
#pragma once

#include <cassert>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace dmiofs {

struct Error {
  int err = 0;         // a positive errno
  std::string step;    // what failed: "open", "lock", "read log"
  std::string object;  // on what: a path, a set's name; may be empty
  std::string hint;    // what the user can do; may be empty

  std::string message() const {
    std::string text = step;
    if (!object.empty()) text += " " + object;
    text += ": ";
    text += std::strerror(err);
    if (!hint.empty()) text += " (" + hint + ")";
    return text;
  }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T take() { return std::move(value()); }
  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

// A step with nothing to return but its success.
struct Unit {};
using Status = Result<Unit>;
inline Status ok_status() { return Unit{}; }

}  // namespace dmiofs
