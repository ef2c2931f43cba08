// Preloaded into the daemon: the wall clock is as many seconds off as the first 8 bytes of the file $CLOCK_JUMP_FILE say (mapped, so that a jump takes
// effect at once). CLOCK_MONOTONIC is the kernel's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *jump;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CLOCK_JUMP_FILE");
  const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof *jump, PROT_READ, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) jump = at;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  const long err = syscall(SYS_clock_gettime, clock, now);
  if (err == 0 && jump != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *jump;
  return (int)err;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec found;
  const int err = clock_gettime(CLOCK_REALTIME, &found);
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return err;
}

time_t time(time_t *now) {
  struct timespec found;
  clock_gettime(CLOCK_REALTIME, &found);
  if (now != NULL) *now = found.tv_sec;
  return found.tv_sec;
}
