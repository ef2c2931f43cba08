// A record store and a dirty region log in memory that block or fail when told to.
#pragma once

#include <atomic>

#include "base/mutex.h"
#include "mirror/core_log.h"
#include "mirror/set_record.h"

namespace dmiofs::test {

class FakeStore final : public SetRecordStore {
 public:
  int store(const SetRecord& record) noexcept override {
    MutexLock lock(mutex_);
    waiting_++;
    while (blocked_) changed_.wait(mutex_);
    waiting_--;
    if (err_ != 0) return err_;
    if (record.generation > newest_.generation) newest_ = record;
    return 0;
  }
  void block(bool on) {
    MutexLock lock(mutex_);
    blocked_ = on;
    changed_.notify_all();
  }
  void fail(int err) {
    MutexLock lock(mutex_);
    err_ = err;
  }
  unsigned waiting() {
    MutexLock lock(mutex_);
    return waiting_;
  }
  SetRecord stored() {
    MutexLock lock(mutex_);
    return newest_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool blocked_ = false;
  unsigned waiting_ = 0;
  int err_ = 0;
  SetRecord newest_;
};

class FakeLog final : public DirtyLog {
 public:
  explicit FakeLog(uint64_t sync_regions) : log_(sync_regions, false) {}
  int mark(uint64_t first, uint64_t last) noexcept override {
    marks_.fetch_add(1);
    for (uint64_t at = first; at <= last; at++) {
      if (log_.dirty(at)) continue;
      writes_.fetch_add(1);
      break;
    }
    return err_.load() != 0 ? err_.load() : log_.mark(first, last);
  }
  void stage_clean(uint64_t sync_region) noexcept override { log_.stage_clean(sync_region); }
  int write_clean() noexcept override { return err_.load(); }
  bool dirty(uint64_t sync_region) const noexcept override { return log_.dirty(sync_region); }
  void fail(int err) { err_.store(err); }
  unsigned marks() const { return marks_.load(); }
  unsigned writes() const { return writes_.load(); }  // marks that had something to do

 private:
  CoreLog log_;
  std::atomic<int> err_{0};
  std::atomic<unsigned> marks_{0};
  std::atomic<unsigned> writes_{0};
};

}  // namespace dmiofs::test
