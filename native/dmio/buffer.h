// BufferPool and BufferRef: aligned memory for requests whose caller may stop waiting.
//
// A synchronous caller with a deadline (the mirror set) must be able to walk away from I/O that does not end.
// So its data lie in a pooled buffer with its request, and both go back to the pool when the last I/O on them
// has ended, however late.
//
//     buffer:  free --acquire()--> held by a BufferRef --ref ends, no I/O in flight--> free
//                                        \--ref ends with late I/O--> late (counted) --last I/O ended--> free
//
// Sizes come in two classes (a few blocks; the largest transfer and two blocks), all page-aligned, made and
// touched at creation, so that the data path neither allocates nor faults. A late buffer is replaced by a new
// one, so that a device that hangs takes none from the others. An empty class waits in order of arrival; it
// never fails.
// THREAD SAFETY: the pool is thread-safe; a BufferRef belongs to one thread. LOCK ORDER: leaf.
// OWNERSHIP: the pool outlives every BufferRef; a late buffer keeps it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dmiofs {

struct RequestSlot;  // dmio/request_slot.h: a buffer with the Ios on it
class BufferPool;

class [[nodiscard]] BufferRef {
 public:
  BufferRef() = default;
  BufferRef(BufferRef&& other) noexcept;
  BufferRef& operator=(BufferRef&& other) noexcept;
  ~BufferRef();

  uint8_t* data() const;
  size_t capacity() const;
  RequestSlot* slot() const { return slot_; }

 private:
  friend class BufferPool;
  explicit BufferRef(RequestSlot* slot) : slot_(slot) {}
  RequestSlot* slot_ = nullptr;
};

}  // namespace dmiofs
