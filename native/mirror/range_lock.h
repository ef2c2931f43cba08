// RangeLock: a reader/writer lock of byte ranges. What keeps legs equal: overlapping writes go one after the
// other, to all legs.
//
// Shared: reads, the copy of a sync region. Exclusive: writes, zeroing, the rewrite of a failed read.
// Fair: an entry waits for each overlapping one that came before it and conflicts with it, granted or not, so
// that neither side starves.
//
// THREAD SAFETY: thread-safe. LOCK ORDER: the range lock comes before every mutex; a thread holds one range
// at a time. It is held over I/O; its own mutex is not. OWNERSHIP: entries live on the stack of who holds the
// range; nothing is allocated.
#pragma once

#include <cstdint>

#include "base/mutex.h"

namespace dmiofs {

class RangeLock {
 public:
  enum class Mode : uint8_t { kShared, kExclusive };

  class [[nodiscard]] Guard {
   public:
    // [first, last) in bytes. Waits until it is granted.
    Guard(RangeLock& lock, uint64_t first, uint64_t last, Mode mode);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    friend class RangeLock;
    bool conflicts(const Guard& later) const {
      return first_ < later.last_ && later.first_ < last_ &&
             (mode_ == Mode::kExclusive || later.mode_ == Mode::kExclusive);
    }
    RangeLock& lock_;
    const uint64_t first_;
    const uint64_t last_;
    const Mode mode_;
    unsigned blockers_ = 0;  // earlier entries that it waits for
    Guard* before_ = nullptr;
    Guard* after_ = nullptr;
    CondVar granted_;
  };

  unsigned waiting();  // how many wait to be granted

 private:
  Mutex mutex_;
  Guard* first_ GUARDED_BY(mutex_) = nullptr;  // in order of arrival
  Guard* last_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace dmiofs
