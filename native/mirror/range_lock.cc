#include "mirror/range_lock.h"

namespace dmiofs {

RangeLock::Guard::Guard(RangeLock& lock, uint64_t first, uint64_t last, Mode mode)
    : lock_(lock), first_(first), last_(last), mode_(mode) {
  MutexLock held(lock_.mutex_);
  for (const Guard* entry = lock_.first_; entry != nullptr; entry = entry->after_) {
    if (entry->conflicts(*this)) blockers_++;
  }
  before_ = lock_.last_;
  if (before_ != nullptr)
    before_->after_ = this;
  else
    lock_.first_ = this;
  lock_.last_ = this;
  while (blockers_ > 0) granted_.wait(lock_.mutex_);
}

RangeLock::Guard::~Guard() {
  MutexLock held(lock_.mutex_);
  for (Guard* entry = after_; entry != nullptr; entry = entry->after_) {
    if (conflicts(*entry) && --entry->blockers_ == 0) entry->granted_.notify_one();
  }
  if (before_ != nullptr)
    before_->after_ = after_;
  else
    lock_.first_ = after_;
  if (after_ != nullptr)
    after_->before_ = before_;
  else
    lock_.last_ = before_;
}

unsigned RangeLock::waiting() {
  MutexLock held(mutex_);
  unsigned count = 0;
  for (const Guard* entry = first_; entry != nullptr; entry = entry->after_)
    count += entry->blockers_ > 0 ? 1 : 0;
  return count;
}

}  // namespace dmiofs
