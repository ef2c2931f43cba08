// RequestSlot: a pooled buffer with the Ios of one run() on it. What lets a caller stop waiting for a device
// that does not answer.
//
//     free --acquire()--> held (refs 1) --run() in time--> held --BufferRef ends--> free
//                                       \--deadline: refs + late Ios--> the last of caller and late Ios frees it
//
// A slot with late Ios is missing from its pool for as long as the device likes. So that others do not run out
// of slots, the pool makes another in its place; and it keeps the pool, whose owner may go meanwhile.
//
// THREAD SAFETY: `refs` is atomic; all else belongs to the holder, and for late Ios to the thread that owns
// the abandoned queue (the hand-over is the pool's mutex, engine/lease.h). OWNERSHIP: the BufferPool.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "dmio/buffer.h"
#include "dmio/io_region.h"
#include "engine/engine.h"

namespace dmiofs {

inline constexpr int kNoAnswer = 1;

struct RequestSlot {
  uint8_t* data = nullptr;
  size_t capacity = 0;
  BufferPool* pool = nullptr;
  unsigned size_class = 0;
  RequestSlot* next_free = nullptr;

  std::atomic<unsigned> refs{0};
  unsigned pending = 0;   // Ios of the run() under way
  bool detached = false;  // its caller has stopped waiting: each Io that still ends drops a reference
  iovec vector = {};
  std::array<Io, kMaxIoRegions> ios;
  std::array<std::atomic<int>, kMaxIoRegions> answers;  // by I/O region: 0, -errno, or kNoAnswer
  std::array<nanos_t, kMaxIoRegions> ended;             // by I/O region: when; valid once answered
  std::array<std::shared_ptr<Device>, kMaxIoRegions> late_devices;
  std::shared_ptr<BufferPool> late_pool;  // with late Ios: they end in it
};

// Aligned, touched buffers in size classes; see buffer.h.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  struct SizeClass {
    size_t bytes;
    unsigned count;
  };
  static Result<std::shared_ptr<BufferPool>> create(const std::vector<SizeClass>& classes);
  ~BufferPool();

  BufferRef acquire(size_t bytes);
  void put(RequestSlot* slot);  // drops a reference
  // The holder stops waiting for `slot->pending` Ios; each drops a reference when it ends. Makes another slot in
  // its place (the one allocation after creation, and the one step here that may fail: then the next waits).
  void leave(RequestSlot* slot);
  int lock_memory();  // 0 or a positive errno
  unsigned late() const { return late_.load(std::memory_order_acquire); }
  unsigned total() const;

 private:
  struct Waiter {
    RequestSlot* slot = nullptr;
    Waiter* next = nullptr;
  };
  struct Class {
    size_t bytes = 0;
    unsigned count = 0;  // wanted: slots that no late Io holds
    Mutex mutex;
    CondVar changed;
    unsigned usable GUARDED_BY(mutex) = 0;
    RequestSlot* free GUARDED_BY(mutex) = nullptr;
    Waiter* first GUARDED_BY(mutex) = nullptr;
    Waiter* last GUARDED_BY(mutex) = nullptr;
  };
  BufferPool() = default;
  int add_slots(unsigned size_class, unsigned count);  // 0 or a positive errno
  void free_slot(RequestSlot* slot);
  void hand_out(Class& size_class, RequestSlot* slot) REQUIRES(size_class.mutex);

  std::vector<std::unique_ptr<Class>> classes_;
  mutable Mutex memory_mutex_;  // held while no other is
  std::vector<std::unique_ptr<RequestSlot>> slots_ GUARDED_BY(memory_mutex_);
  std::vector<std::pair<void*, size_t>> mappings_ GUARDED_BY(memory_mutex_);
  bool locked_ GUARDED_BY(memory_mutex_) = false;
  std::atomic<unsigned> late_{0};
};

}  // namespace dmiofs
