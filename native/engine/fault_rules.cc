// Which rule of the fault engine acts on an Io.
#include <algorithm>

#include "device/device.h"
#include "engine/fault.h"

namespace dmiofs {
namespace {

// splitmix64 of seed and count: the k-th draw of a rule depends on nothing else.
uint64_t draw(uint64_t seed, uint64_t k) {
  uint64_t z = seed + (k + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Whether the action means anything for this kind of I/O.
bool applies(FaultAction action, IoOp op) {
  switch (action) {
    case FaultAction::kTorn: return op == IoOp::kWrite;
    case FaultAction::kDrop: return op != IoOp::kRead;
    case FaultAction::kCorrupt: return op == IoOp::kRead;
    case FaultAction::kError:
    case FaultAction::kErrorAfter:
    case FaultAction::kDelay:
    case FaultAction::kHang: return true;
  }
  return true;
}

bool matches(const FaultRule& rule, const Io& io) {
  if (!applies(rule.action, io.op)) return false;
  if ((rule.ops & (1u << static_cast<unsigned>(io.op))) == 0) return false;
  if (!rule.device.empty() && rule.device != io.device->info().path) return false;
  if (io.op == IoOp::kFlush) return true;
  return io.offset <= rule.last_byte && io.offset + io.length > rule.first_byte;
}

}  // namespace

uint64_t FaultRules::add(FaultRule rule) {
  MutexLock lock(mutex_);
  rule.id = next_id_++;
  entries_.push_back({std::move(rule), 0, 0});
  return entries_.back().rule.id;
}

bool FaultRules::remove(uint64_t id) {
  MutexLock lock(mutex_);
  return std::erase_if(entries_, [id](const Entry& entry) { return entry.rule.id == id; }) > 0;
}

void FaultRules::clear() {
  MutexLock lock(mutex_);
  entries_.clear();
}

std::vector<FaultRule> FaultRules::list() const {
  MutexLock lock(mutex_);
  std::vector<FaultRule> rules;
  for (const Entry& entry : entries_) rules.push_back(entry.rule);
  return rules;
}

uint64_t FaultRules::hits(uint64_t id) const {
  MutexLock lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.rule.id == id) return entry.acted;
  }
  return 0;
}

bool FaultRules::choose(const Io& io, FaultRule* chosen) {
  MutexLock lock(mutex_);
  for (Entry& entry : entries_) {
    if (!matches(entry.rule, io)) continue;
    const uint64_t match = entry.seen++;
    if (match < entry.rule.skip || entry.acted >= entry.rule.times) continue;
    if (draw(entry.rule.seed, match) % 1'000'000 >= entry.rule.chance_per_million) continue;
    entry.acted++;
    *chosen = entry.rule;
    return true;
  }
  return false;
}

bool FaultRules::has(uint64_t id) const {
  MutexLock lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [id](const Entry& entry) { return entry.rule.id == id; });
}

}  // namespace dmiofs
