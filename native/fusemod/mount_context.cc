#include "fusemod/mount_context.h"

#include <utility>

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

void MountCounters::copy(const MountCounters& from) {
  native = from.native.load();
  forwarded = from.forwarded.load();
  read = from.read.load();
  write = from.write.load();
  getattr = from.getattr.load();
}

void MountContext::add(std::unique_ptr<MountedFile> file) {
  constexpr ino_t kFirstInode = 2;  // 1 is the directory
  file->index = static_cast<unsigned>(files.size());
  file->inode = kFirstInode + file->index;
  by_name.emplace(file->name, file.get());
  files.push_back(std::move(file));
}

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

void retire_mount(unsigned id) {
  Registry& all = registry();
  std::shared_ptr<MountContext> ended;  // its sets go after the lock is given back
  auto remains = std::make_shared<MountContext>();
  MutexLock lock(all.mutex);
  const auto found = all.contexts.find(id);
  if (found == all.contexts.end()) return;
  ended = std::exchange(found->second, remains);
  remains->id = id;
  remains->started = ended->started;
  remains->shim = ended->shim.load();
  remains->features.copy(ended->features);
  remains->counters.copy(ended->counters);
}

}  // namespace dmiofs
