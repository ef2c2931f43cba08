// Scrub: makes the legs equal where they differ, the range being locked exclusively.
//
// A crash in a repair. The sync region is dirty, so the next start copies it from the lowest in-sync leg.
// Where that is a leg that is wrong, this would make all legs wrong: so the legs that are wrong first step
// aside (rebuilding, recorded), and step back when the whole sync region is done and on stable storage: until
// it is clean, what is still wrong on them elsewhere in it would be copied too. The last in-sync leg never
// steps aside.
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"
#include "mirror/scrub_pass.h"

namespace dmiofs {
namespace {

std::string leg_names(ErrorBits bits) {
  std::string names;
  for (; bits != 0; bits &= bits - 1)
    names += (names.empty() ? "" : ", ") + std::to_string(lowest_index(bits));
  return names;
}

}  // namespace

// True: there is more to do when the legs that have stepped aside are back, because they alone are right there.
bool MirrorSet::Impl::repair_differences(ScrubPass* pass, uint64_t offset) {
  // First what must not become the content of all legs, should we end here.
  for (bool any = true; any;) {
    any = false;
    for (Difference& difference : pass->differences) {
      const ErrorBits in_sync = current_view().in_sync;
      const ErrorBits next_source = in_sync & -in_sync;
      if (difference.repaired || difference.right == 0 || (difference.right & next_source) != 0) continue;
      const ErrorBits before = pass->aside;
      if (!step_aside(pass, difference)) return before != 0 && (difference.right & before) != 0;
      if (!repair_one(pass, offset, &difference)) return false;
      any = true;
    }
  }
  for (Difference& difference : pass->differences) {
    if (!difference.repaired && difference.right != 0 && !repair_one(pass, offset, &difference)) return false;
  }
  return false;
}

// A write of the range to the legs that are not right, with all that a write needs, and read back. The range is
// locked exclusively.
bool MirrorSet::Impl::repair_one(ScrubPass* pass, uint64_t offset, Difference* difference) {
  if (start_write(pass->sync_region, pass->sync_region) != 0) return false;
  const auto mend = [&]() -> ErrorBits {  // legs that did not take it
    const uint8_t* good = pass->pieces.bytes(lowest_index(difference->right)) + difference->first;
    const uint64_t at = offset + difference->first;
    const ErrorBits wrong = pass->pieces.legs & ~difference->right;
    if (admit_write() != 0) return wrong;
    const ErrorBits targets = wrong & current_view().active;
    if (targets == 0) return wrong;
    BufferRef buffer = dm_io.acquire(difference->length);
    std::memcpy(buffer.data(), good, difference->length);
    DmIoResult result;
    dm_io.run(buffer, IoOp::kWrite, where, ~targets, at, difference->length, 0, deadline(), &result);
    const ErrorBits failed = result.error_bits;
    if (result.late_bits != 0) {
      buffer = BufferRef();
      buffer = dm_io.acquire(difference->length);
    }
    if (failed != 0) take_out(failed, LegErrorKind::kSync, result, at);
    ErrorBits bad = wrong & ~targets;
    for (ErrorBits left = targets & ~failed; left != 0; left &= left - 1) {
      ReadOutcome outcome;
      nanos_t took = 0;
      const unsigned leg = lowest_index(left);
      if (read_leg(&buffer, 0, difference->length, at, leg, &outcome, &took) &&
          std::memcmp(buffer.data(), good, difference->length) == 0)
        continue;
      take_out_one(leg, LegErrorKind::kSync, EIO, at);
      bad |= error_bit(leg);
    }
    return bad | failed;
  };
  const ErrorBits bad = mend();
  regions->end_write(pass->sync_region, pass->sync_region);
  const int err = persist(current_view().left_generation);
  pass->mended = true;
  copies_done.fetch_add(1);
  difference->repaired = bad == 0 && err == 0;
  if (difference->repaired) {
    log_line(LogLevel::kWarn, "set " + name + ": rewrote " + std::to_string(sectors_of(difference->length)) +
                                  " sectors at sector " +
                                  std::to_string(sectors_of(offset + difference->first)) + " of leg " +
                                  leg_names(pass->pieces.legs & ~difference->right) +
                                  ", which differed from leg " + leg_names(difference->right));
  }
  return difference->repaired;
}

// The legs that are wrong are rebuilding, on stable storage: none of them can be the source of the next start.
// They are written as before. False: no leg that is right would be left, or it cannot be recorded.
bool MirrorSet::Impl::step_aside(ScrubPass* pass, const Difference& difference) {
  uint64_t wanted = 0;
  {
    MutexLock lock(state_mutex);
    const ErrorBits leaving = pass->pieces.legs & ~difference.right & view.in_sync;
    if ((view.in_sync & ~leaving & difference.right) == 0) return false;
    changed();
    if (pass->aside == 0) {
      pass->aside_generation = generation;
      pass->aside_epoch = legs_epoch.load();
    }
    for (ErrorBits left = leaving; left != 0; left &= left - 1) {
      Leg& leg = *legs[lowest_index(left)];
      leg.state = LegState::kRebuilding;
      leg.left_generation = pass->aside_generation;
    }
    pass->aside |= leaving;
    // Nobody brings them back before us: not everything is in sync.
    regions->set_not_in_sync(pass->sync_region);
    recompute_view();
    wanted = generation;
  }
  return persist(wanted) == 0;
}

// No range is held. When this cannot be done the sync action does it: it copies the sync region.
void MirrorSet::Impl::step_back(ScrubPass* pass) {
  bool back = flush_legs(LegErrorKind::kSync) == 0;
  uint64_t wanted = 0;
  if (back) {
    // No leg comes in while we look.
    RangeLock::Guard devices(range_lock, kLegsRange, kLegsRange + 1, RangeLock::Mode::kShared);
    MutexLock lock(state_mutex);
    // A leg that came in lacks the sync region: only a copy makes it in sync.
    back = legs_epoch.load() == pass->aside_epoch && regions->may_differ_count() == 0 &&
           (view.active & ~view.in_sync & ~pass->aside) == 0;
    for (ErrorBits left = back ? pass->aside : 0; left != 0; left &= left - 1) {
      const Leg& leg = *legs[lowest_index(left)];
      // One that failed since then is not ours; one that came back since that lacks more than this.
      if (leg.state == LegState::kRebuilding && leg.left_generation != pass->aside_generation) back = false;
    }
    for (ErrorBits left = back ? pass->aside : 0; left != 0; left &= left - 1) {
      Leg& leg = *legs[lowest_index(left)];
      if (leg.state != LegState::kRebuilding) continue;
      leg.state = LegState::kInSync;
      leg.left_generation = 0;
    }
    if (back) {
      regions->set_in_sync(pass->sync_region);
      recompute_view();
      changed();
      wanted = generation;
    }
  }
  pass->aside = 0;
  if (back)
    persist(wanted);
  else
    tell(SetEventKind::kSyncNeeded);
}

}  // namespace dmiofs
