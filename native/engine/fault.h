// The fault engine: wraps another engine and makes I/O fail, late, short or never end, by rule and seed.
//
// For rehearsing a failure and for tests that must repeat one. A rule says which Ios it matches and what
// happens to them; the first rule that acts on an Io is the last one asked. `skip` and `times` count the
// rule's matches over all queues. An Io that an action means nothing for (a torn read) is no match.
//
// THREAD SAFETY: FaultRules is thread-safe; rules may be added and removed while I/O runs. LOCK ORDER: leaf.
// OWNERSHIP: shared by the fault engine's queues and whoever edits the rules.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"

namespace dmiofs {

enum class FaultAction : uint8_t {
  kError,       // ends with -error, the device untouched
  kErrorAfter,  // does the I/O, then reports -error (a device that wrote and lost the answer)
  kDelay,       // ends normally, but not before delay_nanos after it was submitted
  kHang,        // does not end until the rule is removed; then it goes to the device
  kTorn,        // a write: the first `torn_bytes` go to the device, then it ends with -error
  kDrop,     // a write, flush, discard or write-zeroes that reports success and never reaches the device (a
             // lying device)
  kCorrupt,  // a read whose data come back with one byte flipped (a lying device)
};

struct FaultRule {
  uint64_t id = 0;      // set by add(); for remove()
  std::string device;   // path; empty: all devices
  uint32_t ops = 0x1f;  // bit mask by IoOp
  uint64_t first_byte =
      0;  // an Io matches when it touches [first_byte, last_byte] of the device; a flush always does
  uint64_t last_byte = UINT64_MAX;
  uint64_t skip = 0;                        // let this many matches pass first
  uint64_t times = UINT64_MAX;              // then act at most so often
  uint32_t chance_per_million = 1'000'000;  // of each match, drawn from `seed`
  uint64_t seed = 1;
  FaultAction action = FaultAction::kError;
  int error = 5;  // positive errno
  nanos_t delay_nanos = 0;
  uint64_t torn_bytes = 0;
};

class FaultRules {
 public:
  uint64_t add(FaultRule rule);
  bool remove(uint64_t id);  // releases what it made hang
  void clear();
  std::vector<FaultRule> list() const;
  uint64_t hits(uint64_t id) const;  // how often it acted

  // For the engine. choose: the rule that acts on this Io, counted as such; false: none.
  bool choose(const Io& io, FaultRule* chosen);
  bool has(uint64_t id) const;

 private:
  struct Entry {
    FaultRule rule;
    uint64_t seen = 0;
    uint64_t acted = 0;
  };
  mutable Mutex mutex_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);
  uint64_t next_id_ GUARDED_BY(mutex_) = 1;
};

std::shared_ptr<Engine> make_fault_engine(std::shared_ptr<Engine> inner, std::shared_ptr<FaultRules> rules);

}  // namespace dmiofs
