// MountContext: what one mount shows, shared by the module's operations and the addon.
//
// STATES: attached --factory took it up--> serving --destroy--> ended. After `ended` no operation runs on it.
// THREAD SAFETY: `sets` is constant after attach, but for each file's attributes, which have a lock of their own; counters are atomics.
// OWNERSHIP: shared_ptr by the registry (by id) and by the module instance.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "fusemod/session_features.h"
#include "mirror/mirror_set.h"

namespace dmiofs {

enum class TruncateRule : uint8_t { kZero, kDeny };
enum class CacheMode : uint8_t { kAuto, kNone, kWriteback };

struct FileAttr {
  mode_t mode = 0600;  // permission bits only
  uid_t uid = 0;
  gid_t gid = 0;
  timespec atime{}, mtime{}, ctime{};
};

struct MountedFile {
  unsigned index = 0;  // in MountContext::files
  std::string name;
  std::shared_ptr<MirrorSet> set;
  ino_t inode = 0;
  TruncateRule truncate = TruncateRule::kZero;
  CacheMode cache = CacheMode::kAuto;
  bool read_only = false;
  std::atomic<uint64_t> written_end{0};  // bytes; nothing beyond was written since the last O_TRUNC

  std::atomic<bool> grown{false};  // on_grown was told, and the size is not yet put right

  mutable Mutex mutex;  // leaf
  FileAttr attr GUARDED_BY(mutex);
};

struct MountCounters {
  std::atomic<uint64_t> native{0}, forwarded{0}, read{0}, write{0}, getattr{0};
  void copy(const MountCounters& from);
};

struct MountContext {
  unsigned id = 0;
  std::vector<std::unique_ptr<MountedFile>> files;
  std::unordered_map<std::string_view, MountedFile*>
      by_name;         // views of the files' own names: a lookup allocates nothing
  uid_t root_uid = 0;  // of the directory
  gid_t root_gid = 0;
  timespec started{};
  MountCounters counters;
  std::function<void()>
      on_end;  // once, after the last operation returned: from the session's thread; when fuse_new() failed, from its caller's
  // With the writeback cache: the kernel takes this file for longer than it is; someone outside this process is to truncate it to its size.
  // From any thread, before the write that showed it is answered; not again until that truncate has come.
  std::function<void(const MountedFile& file)> on_grown;
  bool stock_session = false;  // libfuse's own, though the shim could be had; before the mount
  std::atomic<bool> shim{false};
  SessionFeatures features;

  // Before attach_mount: gives the file its index (what open files' handles say) and its inode, and a name to be found by.
  void add(std::unique_ptr<MountedFile> file);
  MountedFile* find(const char* path) const;  // "/name"; null: no such file, or the root
};

// The registry: contexts by id, for the module's factory (`-o dmiofs_mount=ID`).
unsigned attach_mount(std::shared_ptr<MountContext> context);
std::shared_ptr<MountContext> find_mount(unsigned id);
// The mount is over, or failed: lets its sets go. Its id keeps answering, with no files and the counters as they were.
void retire_mount(unsigned id);

// dlopen()s libfuse at `path` with RTLD_GLOBAL and registers the module "dmiofs" (module.h) in it. The same path again is no error.
// EALREADY: another path serves the process; EBUSY: fuse-native was loaded first; ELIBACC, ELIBBAD: no libfuse 2.9 there.
Status load_fuse(const std::string& path);

}  // namespace dmiofs
