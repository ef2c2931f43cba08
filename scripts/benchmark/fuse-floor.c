// The FUSE floor: a bare mirror of two legs on libfuse3. O_DIRECT legs, several threads, parallel direct writes; no checks, no locks, no log, no failover.
// What a FUSE mirror could do at best on this machine, for comparison only: it loses data in every way that a mirror can.
//
//   fuse-floor LEG LEG MOUNTPOINT [null]      shows MOUNTPOINT/data; with `null` no leg is touched
#define FUSE_USE_VERSION 314
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <liburing.h>
#include <linux/fuse.h>
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kData = 2, kBuffer = 1 << 20 };
static int legs[2];
static off_t size;
static int null_io;

struct worker {
  struct io_uring ring;
  char* buffer;
};
static pthread_key_t worker_key;

static struct worker* self(void) {
  struct worker* w = pthread_getspecific(worker_key);
  if (w == NULL) {
    w = calloc(1, sizeof *w);
    if (io_uring_queue_init(4, &w->ring, 0) != 0 || posix_memalign((void**)&w->buffer, 4096, kBuffer) != 0) abort();
    memset(w->buffer, 0, kBuffer);
    pthread_setspecific(worker_key, w);
  }
  return w;
}

static void fill(fuse_ino_t ino, struct stat* st) {
  memset(st, 0, sizeof *st);
  st->st_ino = ino;
  st->st_nlink = 1;
  st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0600;
  st->st_size = ino == FUSE_ROOT_ID ? 0 : size;
}

static void op_init(void* data, struct fuse_conn_info* conn) {
  (void)data;
  conn->max_write = kBuffer;
  conn->max_background = 64;
  if (conn->capable & FUSE_CAP_ASYNC_DIO) conn->want |= FUSE_CAP_ASYNC_DIO;
  conn->want &= ~FUSE_CAP_SPLICE_READ;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  struct fuse_entry_param entry = {.ino = kData, .attr_timeout = 3600, .entry_timeout = 3600};
  if (parent != FUSE_ROOT_ID || strcmp(name, "data") != 0) {
    fuse_reply_err(req, ENOENT);
    return;
  }
  fill(kData, &entry.attr);
  fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info* fi) {
  (void)fi;
  struct stat st;
  fill(ino, &st);
  fuse_reply_attr(req, &st, 3600);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat* attr, int set, struct fuse_file_info* fi) {
  (void)attr;
  (void)set;
  op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info* fi) {
  if (ino != kData) {
    fuse_reply_err(req, EISDIR);
    return;
  }
  // The reply is made by hand: Debian 12's libfuse has no name for parallel direct writes yet.
  struct fuse_open_out reply = {.open_flags = FOPEN_KEEP_CACHE};
  if ((fi->flags & O_DIRECT) != 0) reply.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
  fuse_reply_buf(req, (const char*)&reply, sizeof reply);
}

static int one(struct worker* w, int write, size_t length, off_t offset) {
  if (null_io) return 0;
  const int count = write ? 2 : 1;
  for (int i = 0; i < count; i++) {
    struct io_uring_sqe* sqe = io_uring_get_sqe(&w->ring);
    if (write) io_uring_prep_write(sqe, legs[i], w->buffer, length, offset);
    else io_uring_prep_read(sqe, legs[i], w->buffer, length, offset);
  }
  io_uring_submit_and_wait(&w->ring, count);
  int err = 0;
  for (int i = 0; i < count; i++) {
    struct io_uring_cqe* cqe;
    io_uring_wait_cqe(&w->ring, &cqe);
    if (cqe->res != (int)length) err = cqe->res < 0 ? -cqe->res : EIO;
    io_uring_cqe_seen(&w->ring, cqe);
  }
  return err;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t length, off_t offset, struct fuse_file_info* fi) {
  (void)ino;
  (void)fi;
  struct worker* w = self();
  if (offset >= size) length = 0;
  else if (length > (size_t)(size - offset)) length = size - offset;
  if (length > kBuffer) length = kBuffer;
  const int err = length > 0 ? one(w, 0, length, offset) : 0;
  if (err != 0) fuse_reply_err(req, err);
  else fuse_reply_buf(req, w->buffer, length);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char* data, size_t length, off_t offset, struct fuse_file_info* fi) {
  (void)ino;
  (void)fi;
  struct worker* w = self();
  if (offset >= size || length > kBuffer) {
    fuse_reply_err(req, ENOSPC);
    return;
  }
  if (length > (size_t)(size - offset)) length = size - offset;
  memcpy(w->buffer, data, length);
  const int err = one(w, 1, length, offset);
  if (err != 0) fuse_reply_err(req, err);
  else fuse_reply_write(req, length);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info* fi) {
  (void)ino;
  (void)datasync;
  (void)fi;
  fuse_reply_err(req, !null_io && (fdatasync(legs[0]) != 0 || fdatasync(legs[1]) != 0) ? EIO : 0);
}

static const struct fuse_lowlevel_ops kOps = {
    .init = op_init, .lookup = op_lookup, .getattr = op_getattr, .setattr = op_setattr, .open = op_open, .read = op_read, .write = op_write, .fsync = op_fsync,
};

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  null_io = argc > 4 && strcmp(argv[4], "null") == 0;
  for (int i = 0; i < 2; i++) {
    legs[i] = open(argv[1 + i], O_RDWR | O_DIRECT);
    size = legs[i] < 0 ? -1 : lseek(legs[i], 0, SEEK_END);  // of a block device too
    if (size < 0) {
      perror(argv[1 + i]);
      return 1;
    }
  }
  pthread_key_create(&worker_key, NULL);
  char* fuse_argv[] = {"fuse-floor", "-osubtype=fuse-floor"};
  struct fuse_args args = FUSE_ARGS_INIT(2, fuse_argv);
  struct fuse_session* session = fuse_session_new(&args, &kOps, sizeof kOps, NULL);
  if (session == NULL || fuse_session_mount(session, argv[3]) != 0) return 1;
  puts("ready");
  fflush(stdout);
  struct fuse_loop_config* config = fuse_loop_cfg_create();
  fuse_loop_cfg_set_clone_fd(config, 0);
  fuse_loop_cfg_set_max_threads(config, 64);
  fuse_session_loop_mt(session, config);
  fuse_session_unmount(session);
  return 0;
}
