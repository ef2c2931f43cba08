// Scrub: compares one sync region on all legs while the set is used. What a repair writes: scrub_repair.cc.
//
// A piece is first read leg after leg and compared with the first one: no memory, the range shared. Only where
// that finds a difference it is read again, with what each leg holds kept, and judged (mirror/comparison.h); for
// a repair with the range locked exclusively, so that nobody reads what is half written.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "mirror/mirror_set_impl.h"
#include "mirror/scrub_pass.h"

namespace dmiofs {
namespace {

constexpr size_t kPiece = 128 * 1024;  // bytes; also what a writer may have to wait for

}  // namespace

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
    repair_read(lowest_index(left), offset, length, pass->epoch);
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
    if (!read_leg(&buffer, 0, length, offset, lowest_index(left), &outcome, &took)) continue;
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
        const unsigned leg = lowest_index(left);
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

}  // namespace dmiofs
