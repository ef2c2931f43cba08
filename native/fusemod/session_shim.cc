// The session shim: the addon's own fuse_mount and fuse_unmount, which the FUSE binding calls instead of libfuse's since the addon is loaded first with
// RTLD_GLOBAL. By them the addon owns the /dev/fuse channel:
//
// - the descriptor is close-on-exec: a child of the daemon that inherits it would keep a dead mount hanging for ever;
// - the channel is not freed before libfuse has taken it off its session: fuse_unmount of libfuse 2.9 frees what fuse_session_remove_chan reads next;
// - requests and replies pass through here, unchanged but for what a thread must know of its request.
//
// STATES of a channel: made by fuse_mount --session loop--> fuse_unmount (descriptor closed; the struct, some bytes, stays for libfuse to read).
// THREAD SAFETY: receive and send run on libfuse's worker threads. If the shim is not called, all works with libfuse's own channel.
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "fusemod/libfuse.h"
#include "fusemod/mount_context.h"

namespace dmiofs {
namespace {

constexpr char kIdOption[] = "dmiofs_mount=";

// The mount's id in the option string; 0: not ours.
unsigned mount_id(const struct fuse_args* args) {
  for (int i = 0; i < args->argc; i++) {
    if (const char* at = std::strstr(args->argv[i], kIdOption)) {
      return static_cast<unsigned>(std::strtoul(at + sizeof kIdOption - 1, nullptr, 10));
    }
  }
  return 0;
}

void note_init(struct fuse_chan* channel, const char* request, size_t size) {
  if (size < sizeof(fuse_in_header) + 8) return;
  fuse_in_header header;
  std::memcpy(&header, request, sizeof header);
  if (header.opcode != FUSE_INIT) return;
  uint32_t version[2];
  std::memcpy(version, request + sizeof header, sizeof version);
  if (auto* context = static_cast<MountContext*>(libfuse().chan_data(channel)))
    context->kernel_minor = version[1];
}

int shim_receive(struct fuse_chan** channel, char* buffer, size_t size) {
  const Libfuse& lib = libfuse();
  struct fuse_session* session = lib.chan_session(*channel);
  for (;;) {
    const ssize_t got = ::read(lib.chan_fd(*channel), buffer, size);
    const int err = errno;
    if (lib.session_exited(session)) return 0;
    if (got < 0) {
      if (err == ENOENT) continue;  // the request was interrupted before it was read
      if (err == ENODEV) {          // unmounted
        lib.session_exit(session);
        return 0;
      }
      if (err != EINTR && err != EAGAIN)
        log_line(LogLevel::kError, std::string("reading /dev/fuse: ") + std::strerror(err));
      return -err;
    }
    if (static_cast<size_t>(got) < sizeof(fuse_in_header)) return -EIO;
    note_init(*channel, buffer, static_cast<size_t>(got));
    return static_cast<int>(got);
  }
}

int shim_send(struct fuse_chan* channel, const struct iovec* vectors, size_t count) {
  if (vectors == nullptr) return 0;
  if (::writev(libfuse().chan_fd(channel), vectors, static_cast<int>(count)) >= 0) return 0;
  const int err = errno;
  // ENOENT: interrupted; its answer is not wanted any more. ENODEV: unmounted meanwhile.
  if (err != ENOENT && err != ENODEV && !libfuse().session_exited(libfuse().chan_session(channel))) {
    log_line(LogLevel::kError, std::string("writing /dev/fuse: ") + std::strerror(err));
  }
  return -err;
}

void shim_destroy(struct fuse_chan* channel) {
  const int fd = libfuse().chan_fd(channel);
  if (fd >= 0) ::close(fd);
}

struct fuse_chan_ops g_shim_ops = {shim_receive, shim_send, shim_destroy};

}  // namespace
}  // namespace dmiofs

extern "C" {

__attribute__((visibility("default"))) struct fuse_chan* fuse_mount(const char* mountpoint,
                                                                    struct fuse_args* args) {
  using namespace dmiofs;
  const Libfuse& lib = libfuse();
  if (lib.mount == nullptr) return nullptr;
  const unsigned id = mount_id(args);
  struct fuse_chan* original = lib.mount(mountpoint, args);
  const std::shared_ptr<MountContext> context = find_mount(id);
  if (original == nullptr || context == nullptr) return original;
  const int fd = fcntl(lib.chan_fd(original), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return original;
  struct fuse_chan* channel = lib.chan_new(&g_shim_ops, fd, lib.chan_bufsize(original), context.get());
  if (channel == nullptr) {
    ::close(fd);
    return original;
  }
  lib.chan_destroy(original);  // closes its descriptor; the session goes on by ours
  context->shim = true;
  return channel;
}

__attribute__((visibility("default"))) void fuse_unmount(const char* mountpoint, struct fuse_chan* channel) {
  using namespace dmiofs;
  const Libfuse& lib = libfuse();
  if (mountpoint == nullptr || channel == nullptr || lib.chan_fd == nullptr) return;
  const int fd = lib.chan_fd(channel);
  if (fd < 0) return;
  // POLLERR: the kernel has ended the session; then nothing is mounted here any more, or something else is.
  struct pollfd state = {fd, 0, 0};
  const bool ended = poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
  ::close(fd);
  if (!ended) umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
}

}  // extern "C"
