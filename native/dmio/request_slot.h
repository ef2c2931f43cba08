// RequestSlot: a pooled buffer with the Ios of one run() on it. What lets a caller stop waiting for a device
// that does not answer.
//
//     free --acquire()--> held (refs 1) --run() in time--> held --BufferRef ends--> free
//                                       \--deadline: refs + late Ios--> the last of caller and late Ios frees it
//
// THREAD SAFETY: `refs` is atomic; all else belongs to the holder, and for late Ios to the thread that owns
// the abandoned queue (the hand-over is the pool's mutex, engine/lease.h). OWNERSHIP: the BufferPool.
#pragma once

#include <array>
#include <atomic>
#include <memory>
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
};

// Aligned, touched buffers in size classes; see buffer.h.
class BufferPool {
 public:
  struct SizeClass {
    size_t bytes;
    unsigned count;
  };
  static Result<std::unique_ptr<BufferPool>> create(std::vector<SizeClass> classes);
  ~BufferPool();

  BufferRef acquire(size_t bytes);
  void put(RequestSlot* slot);  // drops a reference
  int lock_memory();            // 0 or a positive errno
  unsigned late() const { return late_.load(std::memory_order_relaxed); }
  unsigned total() const { return static_cast<unsigned>(slots_.size()); }
  void count_late() { late_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Waiter {
    RequestSlot* slot = nullptr;
    Waiter* next = nullptr;
  };
  struct Class {
    size_t bytes = 0;
    Mutex mutex;
    CondVar changed;
    RequestSlot* free GUARDED_BY(mutex) = nullptr;
    Waiter* first GUARDED_BY(mutex) = nullptr;
    Waiter* last GUARDED_BY(mutex) = nullptr;
  };
  BufferPool() = default;
  void free_slot(RequestSlot* slot);

  std::vector<std::unique_ptr<Class>> classes_;
  std::vector<std::unique_ptr<RequestSlot>> slots_;
  void* memory_ = nullptr;
  size_t memory_size_ = 0;
  std::atomic<unsigned> late_{0};
};

}  // namespace dmiofs
