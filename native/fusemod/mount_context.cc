#include "fusemod/mount_context.h"

#include <map>

namespace dmiofs {
namespace {

Mutex g_mutex;
std::map<unsigned, std::shared_ptr<MountContext>> g_mounts GUARDED_BY(g_mutex);
unsigned g_next_id GUARDED_BY(g_mutex) = 1;

}  // namespace

MountedFile* MountContext::find(const char* path) const {
  if (path == nullptr || path[0] != '/') return nullptr;
  const auto found = by_name.find(path + 1);
  return found == by_name.end() ? nullptr : found->second;
}

unsigned attach_mount(std::shared_ptr<MountContext> context) {
  MutexLock lock(g_mutex);
  const unsigned id = g_next_id++;
  context->id = id;
  g_mounts.emplace(id, std::move(context));
  return id;
}

std::shared_ptr<MountContext> find_mount(unsigned id) {
  MutexLock lock(g_mutex);
  const auto found = g_mounts.find(id);
  return found == g_mounts.end() ? nullptr : found->second;
}

void detach_mount(unsigned id) {
  MutexLock lock(g_mutex);
  g_mounts.erase(id);
}

}  // namespace dmiofs
