#include "fusemod/mount_context.h"

namespace dmiofs {
namespace {

// Never destroyed: session threads may still look contexts up while the process exits.
struct Registry {
  Mutex mutex;
  unsigned last_id GUARDED_BY(mutex) = 0;
  std::unordered_map<unsigned, std::shared_ptr<MountContext>> contexts GUARDED_BY(mutex);
};

Registry& registry() {
  static Registry* const made = new Registry;
  return *made;
}

}  // namespace

MountedFile* MountContext::find(const char* path) const {
  if (path == nullptr || path[0] != '/') return nullptr;
  const auto found = by_name.find(std::string_view(path + 1));
  return found == by_name.end() ? nullptr : found->second;
}

unsigned attach_mount(std::shared_ptr<MountContext> context) {
  Registry& all = registry();
  MutexLock lock(all.mutex);
  context->id = ++all.last_id;
  const unsigned id = context->id;
  all.contexts[id] = std::move(context);
  return id;
}

std::shared_ptr<MountContext> find_mount(unsigned id) {
  Registry& all = registry();
  MutexLock lock(all.mutex);
  const auto found = all.contexts.find(id);
  return found == all.contexts.end() ? nullptr : found->second;
}

void detach_mount(unsigned id) {
  Registry& all = registry();
  std::shared_ptr<MountContext> dropped;  // its sets end after the lock is given back
  MutexLock lock(all.mutex);
  const auto found = all.contexts.find(id);
  if (found == all.contexts.end()) return;
  dropped = std::move(found->second);
  all.contexts.erase(found);
}

}  // namespace dmiofs
