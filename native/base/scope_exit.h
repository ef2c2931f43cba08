// ScopeExit: runs a function when the scope is left, unless dismissed. For undoing the steps of a setup.
#pragma once

#include <utility>

namespace dmiofs {

template <typename F>
class [[nodiscard]] ScopeExit {
 public:
  explicit ScopeExit(F run) : run_(std::move(run)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit() {
    if (armed_) run_();
  }
  void dismiss() { armed_ = false; }

 private:
  F run_;
  bool armed_ = true;
};

}  // namespace dmiofs
