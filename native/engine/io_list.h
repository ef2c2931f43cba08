// IoList: Ios that wait, in order, linked by Io::next. No allocation.
//
// THREAD SAFETY: none. OWNERSHIP: none of the Ios.
#pragma once

#include <utility>

#include "engine/engine.h"

namespace dmiofs {

class IoList {
 public:
  bool empty() const { return head_ == nullptr; }
  Io* front() const { return head_; }  // null: empty
  Io* back() const { return tail_; }   // meaningless when empty

  void push_back(Io* io) {
    io->next = nullptr;
    *(head_ == nullptr ? &head_ : &tail_->next) = io;
    tail_ = io;
  }
  void pop_front() { head_ = head_->next; }
  Io* take_all() { return std::exchange(head_, nullptr); }  // the first; null: empty

 private:
  Io* head_ = nullptr;
  Io* tail_ = nullptr;
};

}  // namespace dmiofs
