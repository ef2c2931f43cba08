#include "device/shared_claims.h"

#include <map>
#include <tuple>

#include "base/mutex.h"

namespace dmiofs {
namespace {

// A block device whatever its node is called; a file whatever its path.
using Key = std::tuple<bool, uint64_t, uint64_t>;

Key key_of(const struct stat& st) {
  if (S_ISBLK(st.st_mode)) return {true, st.st_rdev, 0};
  return {false, st.st_dev, st.st_ino};
}

struct Entry {
  std::weak_ptr<const UniqueFd> fd;
  bool writable = false;
};

struct Table {
  Mutex mutex;
  std::map<Key, Entry> claims GUARDED_BY(mutex);
};

// Never destroyed: devices may still be closed while the process exits.
Table& table() {
  static Table* const made = new Table;
  return *made;
}

}  // namespace

void remember_claim(const struct stat& st, const DeviceClaim& claim) {
  Table& all = table();
  MutexLock lock(all.mutex);
  std::erase_if(all.claims, [](const auto& entry) { return entry.second.fd.expired(); });
  all.claims[key_of(st)] = {claim.fd, claim.writable};
}

DeviceClaim find_claim(const struct stat& st) {
  Table& all = table();
  MutexLock lock(all.mutex);
  const auto found = all.claims.find(key_of(st));
  if (found == all.claims.end()) return {};
  return {found->second.fd.lock(), found->second.writable};
}

}  // namespace dmiofs
