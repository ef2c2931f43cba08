// The raw floor: both legs written at once, one read, with nothing between. Load and target in one.
//
//   raw-floor LEG LEG read|write|randread|randwrite BLOCK-SIZE JOBS SECONDS SIZE
//
// Prints {"iops":N,"bytes":N}. Each job does one transfer after the other, as fio's psync does on a mount.
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int legs[2];
static size_t block;
static uint64_t blocks;
static int is_write, is_random;
static double seconds;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
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
    if (is_random) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      at = (state >> 20) % blocks;
    } else {
      at = (at + 1) % blocks;
    }
    for (int i = 0; i < (is_write ? 2 : 1); i++) {
      struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
      if (is_write) io_uring_prep_write(sqe, legs[i], buffer, block, at * block);
      else io_uring_prep_read(sqe, legs[i], buffer, block, at * block);
    }
    io_uring_submit_and_wait(&ring, is_write ? 2 : 1);
    for (int i = 0; i < (is_write ? 2 : 1); i++) {
      struct io_uring_cqe* cqe;
      io_uring_wait_cqe(&ring, &cqe);
      if (cqe->res != (int)block) abort();
      io_uring_cqe_seen(&ring, cqe);
    }
    done++;
  }
  return (void*)(uintptr_t)done;
}

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  for (int i = 0; i < 2; i++) {
    legs[i] = open(argv[1 + i], O_RDWR | O_DIRECT);
    if (legs[i] < 0) return 1;
  }
  is_write = strstr(argv[3], "write") != NULL;
  is_random = strncmp(argv[3], "rand", 4) == 0;
  block = strtoull(argv[4], NULL, 0);
  const int jobs = atoi(argv[5]);
  seconds = atof(argv[6]);
  blocks = strtoull(argv[7], NULL, 0) / block;
  pthread_t threads[64];
  const double start = now();
  for (intptr_t i = 0; i < jobs && i < 64; i++) pthread_create(&threads[i], NULL, job, (void*)i);
  uint64_t total = 0;
  for (int i = 0; i < jobs && i < 64; i++) {
    void* done;
    pthread_join(threads[i], &done);
    total += (uintptr_t)done;
  }
  const double took = now() - start;
  printf("{\"iops\":%.1f,\"bytes\":%.0f}\n", (double)total / took, (double)total * (double)block / took);
  return 0;
}
