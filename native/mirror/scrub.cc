// Scrub: compares one sync region on all legs while the set is used, and makes the legs equal where they differ.
//
// A piece is first read leg after leg and compared with the first one: no memory, the range shared. Only where
// that finds a difference it is read again, with what each leg holds kept, and judged (mirror/comparison.h); for
// a repair with the range locked exclusively, so that nobody reads what is half written.
//
// A crash in a repair. The sync region is dirty, so the next start copies it from the lowest in-sync leg.
// Where that is a leg that is wrong, this would make all legs wrong: so the legs that are wrong first step
// aside (rebuilding, recorded), and step back when the whole sync region is done and on stable storage: until
// it is clean, what is still wrong on them elsewhere in it would be copied too. The last in-sync leg never
// steps aside.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {
namespace {

constexpr size_t kPiece = 128 * 1024;  // bytes; also what a writer may have to wait for

unsigned lowest(ErrorBits bits) { return static_cast<unsigned>(std::countr_zero(bits)); }

std::string leg_names(ErrorBits bits) {
  std::string names;
  for (; bits != 0; bits &= bits - 1) names += (names.empty() ? "" : ", ") + std::to_string(lowest(bits));
  return names;
}

}  // namespace

struct MirrorSet::Impl::ScrubPass {
  uint64_t sync_region;
  bool repair;
  ComparisonBuilder builder;

  std::unique_ptr<uint8_t[]> memory;  // what legs hold
  size_t memory_size = 0;
  LegPieces pieces;
  std::vector<Difference> differences;

  // Of the piece.
  uint64_t epoch = 0;
  ErrorBits unreadable = 0;  // and still in use
  bool mended = false;       // something was written

  // Legs that have stepped aside, and the generation that names this.
  ErrorBits aside = 0;
  uint64_t aside_generation = 0;  // of the first of them
  uint64_t aside_epoch = 0;

  bool make_room(size_t bytes) {
    if (bytes <= memory_size) return true;
    memory.reset(new (std::nothrow) uint8_t[bytes]);
    memory_size = memory == nullptr ? 0 : bytes;
    return memory != nullptr;
  }
};

int MirrorSet::compare_sync_region(uint64_t sync_region, bool repair, Comparison* found) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  if (repair && self.read_only) return -EROFS;
  if (sync_region >= self.regions->count()) return -EINVAL;
  // A copy of it would write beside the comparison.
  RangeLock::Guard copy(self.copy_lock, sync_region, sync_region + 1, RangeLock::Mode::kExclusive);
  Impl::ScrubPass pass{.sync_region = sync_region, .repair = repair, .builder = ComparisonBuilder(found)};
  const uint64_t first = sync_region * self.regions->bytes();
  const uint64_t last = std::min(first + self.regions->bytes(), self.size);
  const size_t piece = std::min(kPiece, self.dm_io.max_run_bytes());
  int outcome = 0;
  for (uint64_t at = first; at < last; at += piece) {
    const int err = self.compare_piece(&pass, at, std::min<uint64_t>(piece, last - at));
    if (err != 0 && outcome >= 0) outcome = err;
  }
  if (pass.aside != 0) self.step_back(&pass);
  return outcome;
}

// Who is to be compared: every leg in use, when all of them must hold the sync region; else 0. With a range of it
// held.
ErrorBits MirrorSet::Impl::to_compare(const ScrubPass& pass, const LegView& seen) {
  if (pass.aside != 0) {
    // It is we who made it not in sync, unless a leg came in meanwhile, or a write failed.
    const bool ours = legs_epoch.load() == pass.aside_epoch && !regions->may_differ(pass.sync_region) &&
                      (seen.active & ~seen.in_sync & ~pass.aside) == 0;
    if (!ours) return 0;
  } else if (!regions->in_sync(pass.sync_region)) {
    return 0;
  }
  return std::popcount(seen.active) < 2 ? 0 : seen.active;
}

int MirrorSet::Impl::compare_piece(ScrubPass* pass, uint64_t offset, size_t length) {
  pass->unreadable = 0;
  pass->mended = false;
  if (!pass->make_room(length)) return -ENOMEM;
  int outcome = legs_alike(pass, offset, length);
  if (outcome == -EILSEQ) {
    for (bool again = true; again;) {
      again = false;
      outcome = find_in_piece(pass, offset, length, &again);
    }
  }
  for (ErrorBits left = read_only ? 0 : pass->unreadable; left != 0; left &= left - 1)
    repair_read(lowest(left), offset, length, pass->epoch);
  return outcome;
}

// 0: every leg that could be read holds the same; -EILSEQ: not so; 1 and other errnos as compare_sync_region.
int MirrorSet::Impl::legs_alike(ScrubPass* pass, uint64_t offset, size_t length) {
  RangeLock::Guard range(range_lock, offset, offset + length, RangeLock::Mode::kShared);
  pass->epoch = legs_epoch.load(std::memory_order_relaxed);
  const ErrorBits wanted = to_compare(*pass, current_view());
  if (wanted == 0) return 1;
  BufferRef buffer = dm_io.acquire(length);
  ReadOutcome outcome;
  nanos_t took = 0;
  bool any = false;
  for (ErrorBits left = wanted; left != 0; left &= left - 1) {
    if (!read_leg(&buffer, 0, length, offset, lowest(left), &outcome, &took)) continue;
    if (!any) {
      std::memcpy(pass->memory.get(), buffer.data(), length);
      any = true;
    } else if (std::memcmp(pass->memory.get(), buffer.data(), length) != 0) {
      pass->unreadable = outcome.failed;
      return -EILSEQ;
    }
  }
  pass->unreadable = outcome.failed;
  return any ? 0 : -EIO;
}

// Reads the piece again, tells the differences and, in a repair, mends them. `*again`: there are more.
int MirrorSet::Impl::find_in_piece(ScrubPass* pass, uint64_t offset, size_t length, bool* again) {
  size_t many = 0;
  {
    MutexLock lock(state_mutex);
    many = legs.size();
  }
  if (!pass->make_room(many * length)) return -ENOMEM;
  pass->differences.clear();
  pass->differences.reserve(length / block + 1);
  {
    RangeLock::Guard range(range_lock, offset, offset + length,
                           pass->repair ? RangeLock::Mode::kExclusive : RangeLock::Mode::kShared);
    if (legs.size() > many) {
      *again = true;
      return 0;
    }
    const uint64_t epoch = legs_epoch.load(std::memory_order_relaxed);
    if (epoch != pass->epoch) pass->unreadable = 0;
    pass->epoch = epoch;
    const LegView seen = current_view();
    const ErrorBits wanted = to_compare(*pass, seen);
    if (wanted == 0) return 1;
    pass->pieces = LegPieces{pass->memory.get(), length, length, 0};
    {
      BufferRef buffer = dm_io.acquire(length);
      ReadOutcome outcome;
      nanos_t took = 0;
      for (ErrorBits left = wanted & ~pass->unreadable; left != 0; left &= left - 1) {
        const unsigned leg = lowest(left);
        if (!read_leg(&buffer, 0, length, offset, leg, &outcome, &took)) continue;
        std::memcpy(pass->memory.get() + leg * length, buffer.data(), length);
        pass->pieces.legs |= error_bit(leg);
      }
      pass->unreadable |= outcome.failed;
    }
    if (pass->pieces.legs == 0) return -EIO;
    // Legs that have stepped aside hold all that they held as in-sync ones.
    const ErrorBits votes = (seen.in_sync | pass->aside) & seen.places;
    find_differences(pass->pieces, block, votes, &pass->differences);
    if (pass->repair && !pass->differences.empty()) *again = repair_differences(pass, offset);
  }
  if (pass->differences.empty() && !pass->mended) {
    log_line(LogLevel::kWarn, "set " + name + ": at sector " + std::to_string(sectors_of(offset)) +
                                  " legs were read differently once, and then the same");
  }
  if (*again) step_back(pass);
  for (const Difference& difference : pass->differences) {
    // What is left over is found again.
    if (!*again || difference.repaired) pass->builder.add(difference, pass->pieces, offset);
  }
  return 0;
}

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
    const uint8_t* good = pass->pieces.bytes(lowest(difference->right)) + difference->first;
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
      const unsigned leg = lowest(left);
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
      Leg& leg = *legs[lowest(left)];
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
      const Leg& leg = *legs[lowest(left)];
      // One that failed since then is not ours; one that came back since that lacks more than this.
      if (leg.state == LegState::kRebuilding && leg.left_generation != pass->aside_generation) back = false;
    }
    for (ErrorBits left = back ? pass->aside : 0; left != 0; left &= left - 1) {
      Leg& leg = *legs[lowest(left)];
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
