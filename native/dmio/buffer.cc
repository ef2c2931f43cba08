#include "dmio/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "dmio/request_slot.h"

namespace dmiofs {

BufferRef::BufferRef(BufferRef&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}

BufferRef& BufferRef::operator=(BufferRef&& other) noexcept {
  if (this != &other) {
    if (slot_ != nullptr) slot_->pool->put(slot_);
    slot_ = std::exchange(other.slot_, nullptr);
  }
  return *this;
}

BufferRef::~BufferRef() {
  if (slot_ != nullptr) slot_->pool->put(slot_);
}

uint8_t* BufferRef::data() const { return slot_->data; }
size_t BufferRef::capacity() const { return slot_->capacity; }

Result<std::unique_ptr<BufferPool>> BufferPool::create(std::vector<SizeClass> classes) {
  std::unique_ptr<BufferPool> pool(new BufferPool());
  size_t total = 0;
  for (const SizeClass& wanted : classes) total += round_up(wanted.bytes, kPageSize) * wanted.count;
  void* memory =
      mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    return Error{errno, "make transfer buffers", std::to_string(total) + " bytes", ""};
  // User data in flight has no place in a core dump.
  madvise(memory, total, MADV_DONTDUMP);
  pool->memory_ = memory;
  pool->memory_size_ = total;
  auto* at = static_cast<uint8_t*>(memory);
  for (const SizeClass& wanted : classes) {
    auto size_class = std::make_unique<Class>();
    size_class->bytes = round_up(wanted.bytes, kPageSize);
    MutexLock lock(size_class->mutex);
    for (unsigned i = 0; i < wanted.count; i++) {
      auto slot = std::make_unique<RequestSlot>();
      slot->data = at;
      slot->capacity = size_class->bytes;
      slot->pool = pool.get();
      slot->size_class = static_cast<unsigned>(pool->classes_.size());
      slot->next_free = size_class->free;
      size_class->free = slot.get();
      pool->slots_.push_back(std::move(slot));
      at += size_class->bytes;
    }
    pool->classes_.push_back(std::move(size_class));
  }
  return pool;
}

BufferPool::~BufferPool() {
  if (late() > 0) {
    // A device may still write into them: both stay, on purpose.
    for (auto& slot : slots_) (void)slot.release();
    return;
  }
  if (memory_ != nullptr) munmap(memory_, memory_size_);
}

int BufferPool::lock_memory() { return mlock(memory_, memory_size_) == 0 ? 0 : errno; }

BufferRef BufferPool::acquire(size_t bytes) {
  Class* found = classes_.back().get();
  for (auto& size_class : classes_) {
    if (size_class->bytes >= bytes) {
      found = size_class.get();
      break;
    }
  }
  RequestSlot* slot = nullptr;
  {
    MutexLock lock(found->mutex);
    if (found->first == nullptr && found->free != nullptr) {
      slot = found->free;
      found->free = slot->next_free;
    } else {
      Waiter waiter;
      if (found->first == nullptr)
        found->first = &waiter;
      else
        found->last->next = &waiter;
      found->last = &waiter;
      while (waiter.slot == nullptr) found->changed.wait(found->mutex);
      slot = waiter.slot;
    }
  }
  slot->refs.store(1, std::memory_order_relaxed);
  slot->pending = 0;
  slot->detached = false;
  return BufferRef(slot);
}

void BufferPool::put(RequestSlot* slot) {
  if (slot->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) free_slot(slot);
}

void BufferPool::free_slot(RequestSlot* slot) {
  if (slot->detached) {
    late_.fetch_sub(1, std::memory_order_relaxed);
    for (auto& device : slot->late_devices) device.reset();
    slot->detached = false;
  }
  Class& size_class = *classes_[slot->size_class];
  MutexLock lock(size_class.mutex);
  if (Waiter* waiter = size_class.first; waiter != nullptr) {
    size_class.first = waiter->next;
    waiter->slot = slot;
    size_class.changed.notify_all();
  } else {
    slot->next_free = size_class.free;
    size_class.free = slot;
  }
}

}  // namespace dmiofs
