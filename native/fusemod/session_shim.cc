#include "fusemod/session_shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/stage_times.h"
#include "fusemod/libfuse.h"
#include "fusemod/reply_data.h"
#include "fusemod/request_edit.h"
#include "fusemod/session_loop.h"

namespace dmiofs {
namespace {

struct Session {
  std::shared_ptr<MountContext> context;
  std::string mountpoint;
  struct fuse_chan* channel = nullptr;  // null: libfuse has destroyed it
  bool open = true;                     // the descriptor
};

// Never destroyed: see Registry in mount_context.cc.
struct SessionList {
  Mutex mutex;
  std::vector<Session*> sessions GUARDED_BY(mutex);
};

SessionList& session_list() {
  static SessionList* const made = new SessionList;
  return *made;
}

// Takes the session out of the list when `matches`; null: there is none.
template <typename Predicate>
Session* find_session(Predicate matches, bool take) {
  SessionList& list = session_list();
  MutexLock lock(list.mutex);
  const auto found = std::find_if(list.sessions.begin(), list.sessions.end(), matches);
  if (found == list.sessions.end()) return nullptr;
  Session* session = *found;
  if (take) list.sessions.erase(found);
  return session;
}

int receive(struct fuse_chan** channel, char* buffer, size_t size) {
  const Libfuse& fuse = libfuse();
  struct fuse_session* session = fuse.chan_session(*channel);
  ssize_t got;
  int err;
  do {
    got = ::read(fuse.chan_fd(*channel), buffer, size);
    err = errno;
    if (fuse.session_exited(session)) return 0;
  } while (got < 0 && err == ENOENT);  // the request was interrupted before it was read
  if (got < 0) {
    if (err == ENODEV) {  // unmounted, or the connection was aborted
      fuse.session_exit(session);
      return 0;
    }
    return -err;
  }
  const auto length = static_cast<size_t>(got);
  const bool whole = edit_request(*static_cast<Session*>(fuse.chan_data(*channel))->context, buffer, length);
  return whole ? static_cast<int>(got) : -EIO;
}

// -ENOENT: the request was interrupted (libfuse then takes an open back).
int send(struct fuse_chan* channel, const iovec parts[], size_t count) {
  if (parts == nullptr) return 0;
  ReplyEdit edit;
  iovec with_data[2];
  if (edit_reply(*static_cast<Session*>(libfuse().chan_data(channel))->context, parts, count, &edit)) {
    parts = edit.parts;
  } else if (place_reply_data(parts, count, with_data)) {
    parts = with_data;
    count = 2;
  }
  const int err = ::writev(libfuse().chan_fd(channel), parts, static_cast<int>(count)) < 0 ? -errno : 0;
  end_reply_data();
  StageTimes::end();
  return err;
}

// As fuse_kern_unmount() of libfuse: an error state on the descriptor says that it is unmounted already. It is closed before unmounting, which
// would otherwise wait for an answer from us.
void close_and_unmount(Session* session) {
  if (!session->open) return;
  session->open = false;
  const int fd = libfuse().chan_fd(session->channel);
  pollfd state{fd, 0, 0};
  const bool gone = ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
  ::close(fd);
  if (!gone) libfuse().unmount_path(session->mountpoint.c_str());
}

void on_channel_destroy(struct fuse_chan* channel) {
  auto* session = static_cast<Session*>(libfuse().chan_data(channel));
  close_and_unmount(session);
  session->channel = nullptr;
}

constexpr char kMountOption[] = "dmiofs_mount=";

// 0: none of ours.
unsigned mount_id_of(const struct fuse_args* args) {
  for (int at = 0; args != nullptr && at < args->argc; at++) {
    const char* found = std::strstr(args->argv[at], kMountOption);
    if (found != nullptr)
      return static_cast<unsigned>(std::strtoul(found + sizeof(kMountOption) - 1, nullptr, 10));
  }
  return 0;
}

// Puts our channel, on a close-on-exec copy of the descriptor, in the place of libfuse's. Null: libfuse's stays.
struct fuse_chan* replace_channel(struct fuse_chan* theirs, Session* session) {
  const Libfuse& fuse = libfuse();
  const int fd = ::fcntl(fuse.chan_fd(theirs), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return nullptr;
  struct fuse_chan_ops table{};
  table.receive = receive;
  table.send = send;
  table.destroy = on_channel_destroy;
  // libfuse makes its largest write from the buffer's size, and each of its threads a buffer.
  session->channel = fuse.chan_new(&table, fd, kExtendedRequest + kPageSize, session);
  if (session->channel == nullptr) {
    ::close(fd);
    return nullptr;
  }
  fuse.chan_destroy(theirs);
  return session->channel;
}

struct fuse_chan* mount_session(const char* mountpoint, struct fuse_args* args,
                                std::shared_ptr<MountContext> context) {
  // Now: once mounted, looking at the path would wait for our own answer.
  char* resolved = ::realpath(mountpoint, nullptr);
  auto session = std::make_unique<Session>();
  session->mountpoint = resolved == nullptr ? mountpoint : resolved;
  std::free(resolved);
  session->context = context;
  struct fuse_chan* theirs = libfuse().mount(mountpoint, args);
  if (theirs == nullptr) {
    retire_mount(context->id);
    return nullptr;
  }
  struct fuse_chan* ours = replace_channel(theirs, session.get());
  if (ours == nullptr) {
    log_line(LogLevel::kWarn, "the FUSE session keeps libfuse's own channel: out of descriptors or memory");
    ::fcntl(libfuse().chan_fd(theirs), F_SETFD, FD_CLOEXEC);
    return theirs;
  }
  context->shim = true;
  SessionList& list = session_list();
  MutexLock lock(list.mutex);
  list.sessions.push_back(session.release());
  return ours;
}

}  // namespace

void end_session(MountContext& context) {
  std::unique_ptr<Session> session(
      find_session([&context](const Session* one) { return one->context.get() == &context; }, true));
  if (session == nullptr || session->channel == nullptr) return;
  if (libfuse().chan_session(session->channel) == nullptr) {
    libfuse().chan_destroy(session->channel);
  } else {
    session.release();  // a libfuse session still has the channel, and destroys it
  }
}

bool reply_truncated_to(MountContext& context, uint64_t size) {
  if (!context.shim) return false;
  set_reply_size(size);
  return true;
}

}  // namespace dmiofs

extern "C" {

__attribute__((visibility("default"))) struct fuse_chan* fuse_mount(const char* mountpoint,
                                                                    struct fuse_args* args) {
  using namespace dmiofs;
  if (libfuse().mount == nullptr)
    return nullptr;  // fuse-native without load_fuse(): it has bound to us, and there is nothing below
  std::shared_ptr<MountContext> context = find_mount(mount_id_of(args));
  if (context == nullptr) return libfuse().mount(mountpoint, args);
  if (context->stock_session) {
    struct fuse_chan* channel = libfuse().mount(mountpoint, args);
    if (channel == nullptr)
      retire_mount(context->id);
    else
      ::fcntl(libfuse().chan_fd(channel), F_SETFD, FD_CLOEXEC);
    return channel;
  }
  return mount_session(mountpoint, args, std::move(context));
}

__attribute__((visibility("default"))) struct fuse* fuse_new(struct fuse_chan* channel,
                                                             struct fuse_args* args,
                                                             const struct fuse_operations* operations,
                                                             size_t operations_size, void* user_data) {
  using namespace dmiofs;
  if (libfuse().new_session == nullptr) return nullptr;
  struct fuse* made = libfuse().new_session(channel, args, operations, operations_size, user_data);
  if (made != nullptr) return made;
  // Where the module's factory ran, `destroy` has done this already.
  if (Session* session =
          find_session([channel](const Session* one) { return one->channel == channel; }, false)) {
    const std::shared_ptr<MountContext> context = session->context;
    end_session(*context);
    retire_mount(context->id);
  }
  return nullptr;
}

__attribute__((visibility("default"))) int fuse_loop_mt(struct fuse* fuse) {
  using namespace dmiofs;
  if (libfuse().loop_mt == nullptr) return -1;
  struct fuse_session* session = libfuse().get_session(fuse);
  struct fuse_chan* channel = libfuse().session_next_chan(session, nullptr);
  if (find_session([channel](const Session* one) { return one->channel == channel; }, false) == nullptr)
    return libfuse().loop_mt(fuse);
  return run_session_loop(session, channel, receive);
}

// Called by fuse-native when the session's loop has ended; it takes the channel out of the session afterwards, so it is not freed here.
__attribute__((visibility("default"))) void fuse_unmount(const char* mountpoint, struct fuse_chan* channel) {
  using namespace dmiofs;
  if (libfuse().unmount == nullptr) return;
  Session* session = find_session([channel](const Session* one) { return one->channel == channel; }, false);
  if (session == nullptr) {
    libfuse().unmount(mountpoint, channel);
  } else {
    close_and_unmount(session);
  }
}

}  // extern "C"
