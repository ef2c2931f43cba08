// The set's background thread: cleans sync regions that have been idle, and stores what has changed in the
// record that nobody waits for.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr size_t kCleanBatch = 4096;  // sync regions
constexpr nanos_t kLongestPause = kNanosPerSecond;
constexpr nanos_t kShortestPause = 10 * kNanosPerMilli;

}  // namespace

void MirrorSet::Impl::wake_background() {
  MutexLock lock(background_mutex);
  background_asleep.store(false);
  background_wake.notify_all();
}

void MirrorSet::Impl::run_background() {
  const auto pause = std::chrono::nanoseconds(std::clamp(clean_after / 4, kShortestPause, kLongestPause));
  for (;;) {
    background_asleep.store(true);
    const uint64_t newest = current_generation();
    const bool idle = regions->dirty_count() == 0 && durable_generation.load() >= newest;
    {
      // Idle: until someone has work, who looks at background_asleep after he made it. Else for a pause.
      MutexLock lock(background_mutex);
      const auto until = std::chrono::steady_clock::now() + pause;
      while (!background_stop &&
             (idle ? background_asleep.load() : std::chrono::steady_clock::now() < until)) {
        if (idle)
          background_wake.wait(background_mutex);
        else
          background_wake.wait_until(background_mutex, until);
      }
      background_asleep.store(false);
      if (background_stop) return;
    }
    Inside entered(*this);
    if (!entered.ok()) continue;
    clean_idle();
    persist(current_generation());
  }
}

void MirrorSet::Impl::clean_idle() {
  while (clean_batch(clean_after, kCleanBatch)) {
  }
}

// Never while a leg is out: what is dirty then is what its return must copy. False: there is nothing (more)
// to clean, or it cannot be.
bool MirrorSet::Impl::clean_batch(nanos_t idle, size_t most) {
  if (regions->dirty_count() == 0 || !every_leg_active()) return false;
  const std::vector<uint64_t> flagged = regions->start_cleaning(idle, most);
  if (flagged.empty()) return false;
  const bool flushed = flush_legs(LegErrorKind::kFlush) == 0 && every_leg_active();
  if (const int err = regions->finish_cleaning(flagged, flushed); err != 0) {
    note_log_failure(err);
    return false;
  }
  return flushed && flagged.size() == most;
}

}  // namespace dmiofs
