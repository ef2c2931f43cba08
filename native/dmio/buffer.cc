#include "dmio/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>

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

Result<std::shared_ptr<BufferPool>> BufferPool::create(const std::vector<SizeClass>& classes) {
  std::shared_ptr<BufferPool> pool(new BufferPool());
  for (const SizeClass& wanted : classes) {
    auto size_class = std::make_unique<Class>();
    size_class->bytes = round_up(wanted.bytes, kPageSize);
    size_class->count = wanted.count;
    pool->classes_.push_back(std::move(size_class));
    const int err = pool->add_slots(static_cast<unsigned>(pool->classes_.size() - 1), wanted.count);
    if (err != 0)
      return Error{err, "make transfer buffers",
                   std::to_string(wanted.count) + " of " + std::to_string(wanted.bytes) + " bytes", ""};
  }
  return pool;
}

// No late slot is left, nor will one come: each keeps the pool.
BufferPool::~BufferPool() {
  MutexLock lock(memory_mutex_);
  for (const auto& [memory, size] : mappings_) munmap(memory, size);
}

int BufferPool::add_slots(unsigned size_class, unsigned count) {
  if (count == 0) return 0;
  Class& to = *classes_[size_class];
  const size_t size = to.bytes * count;
  void* memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return errno;
  // User data in flight has no place in a core dump.
  madvise(memory, size, MADV_DONTDUMP);
  std::vector<std::unique_ptr<RequestSlot>> made;
  for (unsigned i = 0; i < count; i++) {
    auto slot = std::make_unique<RequestSlot>();
    slot->data = static_cast<uint8_t*>(memory) + i * to.bytes;
    slot->capacity = to.bytes;
    slot->pool = this;
    slot->size_class = size_class;
    made.push_back(std::move(slot));
  }
  {
    MutexLock lock(to.mutex);
    to.usable += count;
    for (const auto& slot : made) hand_out(to, slot.get());
  }
  MutexLock lock(memory_mutex_);
  if (locked_) (void)mlock(memory, size);  // as far as the limit goes
  mappings_.emplace_back(memory, size);
  for (auto& slot : made) slots_.push_back(std::move(slot));
  return 0;
}

int BufferPool::lock_memory() {
  MutexLock lock(memory_mutex_);
  locked_ = true;
  for (const auto& [memory, size] : mappings_) {
    if (mlock(memory, size) != 0) return errno;
  }
  return 0;
}

unsigned BufferPool::total() const {
  MutexLock lock(memory_mutex_);
  return static_cast<unsigned>(slots_.size());
}

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

void BufferPool::leave(RequestSlot* slot) {
  slot->refs.fetch_add(slot->pending, std::memory_order_relaxed);
  slot->detached = true;
  slot->late_pool = shared_from_this();
  late_.fetch_add(1, std::memory_order_relaxed);
  Class& size_class = *classes_[slot->size_class];
  bool short_of_slots = false;
  {
    MutexLock lock(size_class.mutex);
    short_of_slots = --size_class.usable < size_class.count;
  }
  if (short_of_slots) (void)add_slots(slot->size_class, 1);
}

void BufferPool::free_slot(RequestSlot* slot) {
  std::shared_ptr<BufferPool> last;  // the pool may go at the end, but not before
  Class& size_class = *classes_[slot->size_class];
  const bool was_late = slot->detached;
  if (was_late) {
    for (auto& device : slot->late_devices) device.reset();
    last = std::move(slot->late_pool);
    slot->detached = false;
    late_.fetch_sub(1, std::memory_order_release);
  }
  MutexLock lock(size_class.mutex);
  if (was_late) size_class.usable++;
  hand_out(size_class, slot);
}

void BufferPool::hand_out(Class& size_class, RequestSlot* slot) {
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
