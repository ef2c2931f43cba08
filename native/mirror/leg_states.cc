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

const char* to_string(SetState state) {
  switch (state) {
    case SetState::kComplete: return "complete";
    case SetState::kDegraded: return "degraded";
    case SetState::kFailed: return "failed";
  }
  return "?";
}

void MirrorSet::Impl::tell(SetEventKind kind, int leg, int err, sector_t sector) const {
  if (on_event) on_event(SetEvent{kind, leg, err, sector});
}

void MirrorSet::Impl::recompute_view() {
  LegView next;
  for (unsigned index = 0; index < legs.size(); index++) {
    if (legs[index]->state == LegState::kInSync) next.in_sync |= error_bit(index);
    if (legs[index]->state == LegState::kInSync || legs[index]->state == LegState::kRebuilding)
      next.active |= error_bit(index);
  }
  // The source stays while something is being copied from it, so that two reads of one sync region never
  // differ.
  const bool keep =
      regions->in_sync_count() != regions->count() && (next.in_sync & error_bit(view.source)) != 0;
  next.source =
      keep ? view.source : static_cast<unsigned>(next.in_sync == 0 ? 0 : std::countr_zero(next.in_sync));
  next.state_generation = view.state_generation + 1;
  view = next;
}

SetRecord MirrorSet::Impl::build_record() {
  record.generation = view.state_generation;
  for (unsigned index = 0; index < legs.size(); index++) {
    const Leg& leg = *legs[index];
    LegRecord& stored = record.legs[index];
    stored.state = leg.state;
    stored.errors = leg.errors;
    stored.error_kinds = leg.error_kinds;
    stored.left_generation = leg.left_generation;
    stored.uuid = leg.uuid;
    stored.sector = leg.sector;
    stored.count = count;
    if (where[index].bdev != nullptr) stored.identity = where[index].bdev->info().identity;
  }
  return record;
}

void MirrorSet::Impl::note_errors(ErrorBits bits, LegErrorKind kind, const DmIoResult& result,
                                  uint64_t offset) {
  for (unsigned index = 0; index < legs.size(); index++) {
    if ((bits & error_bit(index)) == 0) continue;
    Leg& leg = *legs[index];
    leg.errors.count[static_cast<unsigned>(kind)]++;
    leg.errors.last_errno = -result.errnos[index];
    leg.errors.last_sector = sectors_of(offset);
    leg.errors.last_time = wall_seconds();
    leg.error_kinds = static_cast<uint8_t>(leg.error_kinds | 1u << static_cast<unsigned>(kind));
  }
}

// Takes these legs out, but never the last in-sync one. False: one of them is that last one, and none was
// taken out.
bool MirrorSet::Impl::fail_legs(ErrorBits bits, LegErrorKind kind, const DmIoResult& result,
                                uint64_t offset) {
  ErrorBits left = 0;
  {
    MutexLock lock(state_mutex);
    note_errors(bits, kind, result, offset);
    if ((bits & view.in_sync) != 0 && (view.in_sync & ~bits) == 0) return false;
    left = bits & view.active;
    if (left == 0) return true;
    for (unsigned index = 0; index < legs.size(); index++) {
      if ((left & error_bit(index)) == 0) continue;
      legs[index]->state = LegState::kFailed;
      legs[index]->left_generation = view.state_generation + 1;
    }
    recompute_view();
  }
  for (unsigned index = 0; index < legs.size(); index++) {
    if ((left & error_bit(index)) == 0) continue;
    const int err = -result.errnos[index];
    log_line(LogLevel::kError, "set " + name + ": leg " + std::to_string(index) + " (" + legs[index]->device +
                                   ") failed: " + errno_name(err) + " at sector " +
                                   std::to_string(sectors_of(offset)));
    tell(SetEventKind::kLegFailed, static_cast<int>(index), err, sectors_of(offset));
  }
  return true;
}

int MirrorSet::Impl::note_log_failure(int err) {
  bool first = false;
  {
    MutexLock lock(state_mutex);
    first = !log_failed;
    log_failed = true;
  }
  if (first) {
    log_line(LogLevel::kError, "set " + name + ": the dirty region log cannot be written: " +
                                   errno_name(-err) + ": writes that need it fail, reads go on");
    tell(SetEventKind::kLogFailed, -1, -err);
  }
  return -EIO;
}

// Makes everything up to `generation` durable: who is out, before anyone is told that a write without them is
// done.
int MirrorSet::Impl::persist(uint64_t generation) {
  if (durable_generation.load(std::memory_order_acquire) >= generation) return 0;
  MutexLock ordered(persist_mutex);
  if (durable_generation.load(std::memory_order_acquire) >= generation) return 0;
  SetRecord stored;
  {
    MutexLock lock(state_mutex);
    stored = build_record();
  }
  if (record_store != nullptr) {
    if (const int err = record_store->store(stored); err != 0) return note_log_failure(err);
    MutexLock lock(state_mutex);
    log_failed = false;
  }
  durable_generation.store(stored.generation, std::memory_order_release);
  return 0;
}

// After an I/O to all active legs: decides what its errors mean. 0: the caller may be told that it is done.
int MirrorSet::Impl::settle_write(const LegView& seen, BufferRef& buffer, DmIoResult* result,
                                  LegErrorKind kind, uint64_t offset, uint64_t length) {
  uint64_t needed = seen.state_generation;
  if (result->error_bits != 0) {
    // When no in-sync leg has answered yet, the last one is waited for, however long: a write that may still
    // land must not be overtaken.
    for (unsigned index = 0; (seen.in_sync & ~result->error_bits) == 0 && index < legs.size(); index++) {
      if ((result->late_bits & seen.in_sync & error_bit(index)) == 0) continue;
      result->errnos[index] = dm_io.wait_late(buffer, index);
      result->late_bits &= ~error_bit(index);
      if (result->errnos[index] == 0) result->error_bits &= ~error_bit(index);
    }
    // Legs that were failed by someone else meanwhile count for nothing: `good` is judged against who is
    // in-sync now.
    bool acknowledged = (current_view().in_sync & seen.in_sync & ~result->error_bits) != 0;
    if (acknowledged && result->error_bits != 0)
      acknowledged = fail_legs(result->error_bits, kind, *result, offset);
    if (!acknowledged) {
      // No in-sync leg has it: nobody missed an acknowledged write, so nobody leaves; but legs may differ
      // here now.
      const ErrorBits others = result->error_bits & ~seen.in_sync;
      bool told = false;
      {
        MutexLock lock(state_mutex);
        note_errors(result->error_bits & seen.in_sync, kind, *result, offset);
        told = std::exchange(set_failed_told, true);
      }
      if (others != 0) fail_legs(others, kind, *result, offset);
      if (length > 0 && std::popcount(current_view().active) > 1) {
        for (uint64_t at = regions->of(offset); at <= regions->of(offset + length - 1); at++)
          regions->set_in_sync(at, false);
        tell(SetEventKind::kSyncNeeded);
      }
      if (!told) tell(SetEventKind::kSetFailed, -1, EIO, sectors_of(offset));
      return -EIO;
    }
    needed = current_view().state_generation;
  }
  return persist(needed);
}

int MirrorSet::fail_leg(unsigned leg) {
  Impl& self = *impl_;
  if (leg >= self.legs.size()) return -EINVAL;
  {
    MutexLock lock(self.state_mutex);
    if ((self.view.active & error_bit(leg)) == 0) return -EALREADY;
  }
  DmIoResult result;
  result.errnos.fill(0);
  result.errnos[leg] = -EIO;
  if (!self.fail_legs(error_bit(leg), LegErrorKind::kWrite, result, 0)) return -EBUSY;
  return self.persist(self.current_view().state_generation);
}

int MirrorSet::clear_errors(int leg) {
  Impl& self = *impl_;
  if (leg >= static_cast<int>(self.legs.size()) || leg < -1) return -EINVAL;
  uint64_t generation = 0;
  {
    MutexLock lock(self.state_mutex);
    for (unsigned index = 0; index < self.legs.size(); index++) {
      if (leg >= 0 && static_cast<unsigned>(leg) != index) continue;
      self.legs[index]->errors = LegErrors{};
      self.legs[index]->error_kinds = 0;
      self.legs[index]->counters.repaired_reads = 0;
    }
    self.set_failed_told = false;
    generation = ++self.view.state_generation;
  }
  return self.persist(generation);
}

}  // namespace dmiofs
