// What an error on a leg means: who leaves, what is stored, and when the caller may be answered.
#include <bit>
#include <cerrno>

#include "base/errno_name.h"
#include "base/log.h"
#include "mirror/mirror_set_impl.h"

namespace dmiofs {

const char* to_string(LegState state) {
  switch (state) {
    case LegState::kInSync: return "in-sync";
    case LegState::kRebuilding: return "rebuilding";
    case LegState::kFailed: return "failed";
    case LegState::kMissing: return "missing";
  }
  return "?";
}

void MirrorSet::Impl::note_errors(ErrorBits bits, LegErrorKind kind, const DmIoResult& result,
                                  uint64_t offset) {
  for (; bits != 0; bits &= bits - 1) {
    const auto index = lowest_index(bits);
    Leg& leg = *legs[index];
    leg.errors.count[static_cast<unsigned>(kind)]++;
    leg.errors.last_errno = -result.errnos[index];
    leg.errors.last_sector = sectors_of(offset);
    leg.errors.last_time = wall_seconds();
    leg.error_kinds = static_cast<uint8_t>(leg.error_kinds | 1u << static_cast<unsigned>(kind));
  }
  changed();
}

// Takes these legs out, in one decision, but never the last in-sync one: when none would be left, all in-sync
// ones stay and false is returned; rebuilding ones leave in any case. A leg that is in-sync now and not in
// `bits` was one of those that the I/O went to: whoever calls holds the range, and no leg comes in while any
// range is held. Who holds none gives the `epoch` of the legs that `bits` are of: when they have changed since,
// nothing is done.
bool MirrorSet::Impl::take_out(ErrorBits bits, LegErrorKind kind, const DmIoResult& result, uint64_t offset,
                               std::optional<uint64_t> epoch) {
  ErrorBits leaving = 0;
  bool others = false;
  {
    MutexLock lock(state_mutex);
    if (epoch.has_value() && *epoch != legs_epoch.load()) return true;
    note_errors(bits, kind, result, offset);
    others = (view.in_sync & ~bits) != 0;
    leaving = bits & view.active & (others ? ~ErrorBits{0} : ~view.in_sync);
    if (leaving != 0) {
      view.left_generation = generation;
      for (ErrorBits left = leaving; left != 0; left &= left - 1) {
        Leg& leg = *legs[lowest_index(left)];
        leg.state = LegState::kFailed;
        leg.left_generation = generation;
      }
      recompute_view();
    }
    if ((result.late_bits & view.active) != 0) late_writes.store(true);
  }
  for (; leaving != 0; leaving &= leaving - 1) {
    const auto index = lowest_index(leaving);
    const int err = -result.errnos[index];
    log_line(LogLevel::kError, "set " + name + ": leg " + std::to_string(index) + " failed: " +
                                   errno_name(err) + " at sector " + std::to_string(sectors_of(offset)));
    tell(SetEventKind::kLegFailed, static_cast<int>(index), err, sectors_of(offset));
  }
  return others;
}

bool MirrorSet::Impl::take_out_one(unsigned leg, LegErrorKind kind, int err, uint64_t offset) {
  DmIoResult result;
  result.errnos[leg] = -err;
  if (err == ETIMEDOUT) result.late_bits = error_bit(leg);
  return take_out(error_bit(leg), kind, result, offset);
}

// After an I/O to all active legs: decides what its errors mean. 0: the caller may be told that it is done.
int MirrorSet::Impl::settle(const LegView& seen, const DmIoResult& result, LegErrorKind kind, uint64_t offset,
                            uint64_t length) {
  if (result.error_bits == 0) {
    if (set_failed_told.load(std::memory_order_relaxed)) set_failed_told.store(false);
    return persist(seen.left_generation);
  }
  if (take_out(result.error_bits, kind, result, offset)) return persist(current_view().left_generation);
  // No in-sync leg has it: nobody missed an acknowledged write, so nobody leaves; but legs may differ here
  // now.
  out_of_sync(offset, length);
  tell_set_failed(offset);
  return -EIO;
}

// Of a write or zeroing that was not acknowledged; length 0: of a flush, which may have lost anything since
// the last one.
void MirrorSet::Impl::out_of_sync(uint64_t offset, uint64_t length) {
  if (std::popcount(current_view().active) < 2) return;
  bool any = false;
  if (length > 0) {
    for (uint64_t at = regions->of(offset); at <= regions->of(offset + length - 1); at++)
      regions->set_may_differ(at);
    any = true;
  } else {
    for (int64_t at = 0; (at = regions->next_dirty(static_cast<uint64_t>(at))) >= 0; at++) {
      regions->set_may_differ(static_cast<uint64_t>(at));
      any = true;
    }
  }
  if (any) tell(SetEventKind::kSyncNeeded);
}

void MirrorSet::Impl::tell_set_failed(uint64_t offset) {
  if (!set_failed_told.exchange(true)) tell(SetEventKind::kSetFailed, -1, EIO, sectors_of(offset));
}

int MirrorSet::fail_leg(unsigned leg) {
  Impl& self = *impl_;
  Impl::Inside entered(self);
  if (!entered.ok()) return -ESHUTDOWN;
  {
    MutexLock lock(self.state_mutex);
    if (leg >= self.legs.size()) return -EINVAL;
    if ((self.view.active & error_bit(leg)) == 0) return -EALREADY;
    if (self.view.in_sync == error_bit(leg)) return -EBUSY;
  }
  if (!self.take_out_one(leg, LegErrorKind::kWrite, EIO, 0)) return -EBUSY;
  return self.read_only ? 0 : self.persist(self.current_view().left_generation);
}

}  // namespace dmiofs
