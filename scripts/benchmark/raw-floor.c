// The raw floor: both legs written at once, one read, with nothing between. Load and target in one.
//
//   raw-floor LEG LEG read|write|randread|randwrite|fsync|mixed BLOCK-SIZE JOBS SECONDS SIZE
//
// Prints {"iops":N,"bytes":N,"cpu":SECONDS}. Each job does one transfer after the other, as fio's psync does on a mount.
// fsync: each random write is followed by an fdatasync of both legs; mixed: 70 % random reads, 30 % random writes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { kMaxJobs = 64 };
static int legs[2];
static size_t block;
static uint64_t blocks;
static int is_write, is_random, is_fsync, is_mixed;
static double seconds;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static void finish(struct io_uring* ring, int count, int expected) {
  io_uring_submit_and_wait(ring, count);
  for (int i = 0; i < count; i++) {
    struct io_uring_cqe* cqe;
    io_uring_wait_cqe(ring, &cqe);
    if (cqe->res != expected) {
      fprintf(stderr, "raw-floor: %s\n", cqe->res < 0 ? strerror(-cqe->res) : "a short transfer");
      exit(1);
    }
    io_uring_cqe_seen(ring, cqe);
  }
}

static void* job(void* argument) {
  const uint64_t index = (uintptr_t)argument;
  struct io_uring ring;
  char* buffer;
  if (io_uring_queue_init(4, &ring, 0) != 0 || posix_memalign((void**)&buffer, 4096, block) != 0) abort();
  memset(buffer, (int)index, block);
  uint64_t done = 0, state = index + 1, at = blocks / 4 * index;
  const double end = now() + seconds;
  while (now() < end) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    at = (is_random ? state >> 20 : at + 1) % blocks;
    const int write = is_mixed ? (state >> 13) % 100 >= 70 : is_write;
    const int count = write ? 2 : 1;
    for (int i = 0; i < count; i++) {
      struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
      if (write) io_uring_prep_write(sqe, legs[i], buffer, block, at * block);
      else io_uring_prep_read(sqe, legs[i], buffer, block, at * block);
    }
    finish(&ring, count, (int)block);
    if (is_fsync) {
      for (int i = 0; i < 2; i++) io_uring_prep_fsync(io_uring_get_sqe(&ring), legs[i], IORING_FSYNC_DATASYNC);
      finish(&ring, 2, 0);
    }
    done++;
  }
  return (void*)(uintptr_t)done;
}

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  for (int i = 0; i < 2; i++) {
    legs[i] = open(argv[1 + i], O_RDWR | O_DIRECT);
    if (legs[i] < 0) {
      perror(argv[1 + i]);
      return 1;
    }
  }
  is_fsync = strcmp(argv[3], "fsync") == 0;
  is_mixed = strcmp(argv[3], "mixed") == 0;
  is_write = is_fsync || strstr(argv[3], "write") != NULL;
  is_random = is_fsync || is_mixed || strncmp(argv[3], "rand", 4) == 0;
  block = strtoull(argv[4], NULL, 0);
  const int jobs = atoi(argv[5]);
  seconds = atof(argv[6]);
  if (block == 0 || jobs < 1 || jobs > kMaxJobs) return 2;
  blocks = strtoull(argv[7], NULL, 0) / block;
  pthread_t threads[kMaxJobs];
  const double start = now();
  for (intptr_t i = 0; i < jobs; i++) pthread_create(&threads[i], NULL, job, (void*)i);
  uint64_t total = 0;
  for (int i = 0; i < jobs; i++) {
    void* done;
    pthread_join(threads[i], &done);
    total += (uintptr_t)done;
  }
  const double took = now() - start;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  const double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  printf("{\"iops\":%.1f,\"bytes\":%.0f,\"cpu\":%.3f}\n", (double)total / took, (double)total * (double)block / took, cpu);
  return 0;
}
