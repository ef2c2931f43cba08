#include "device/direct_io.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace dmiofs {
namespace {

constexpr unsigned kStatxDioAlign = 0x2000;  // STATX_DIOALIGN, Linux 6.1

// struct statx as of Linux 6.1, in case the headers are older.
struct StatxDio {
  uint8_t before[0x98];
  uint32_t dio_mem_align;
  uint32_t dio_offset_align;
  uint8_t after[0x100 - 0xa0];
};
static_assert(sizeof(StatxDio) == 0x100);

bool trial_read(int fd, uint32_t unit) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, 4096) != 0) return false;
  ssize_t got;
  do {
    got = pread(fd, memory, unit, unit == 512 ? 512 : 0);
  } while (got < 0 && errno == EINTR);
  const bool taken = got >= 0 || errno != EINVAL;
  free(memory);
  return taken;
}

}  // namespace

bool direct_io_units(int fd, uint64_t size_bytes, DirectIoUnits* units) {
  StatxDio st = {};
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, kStatxDioAlign, &st) == 0) {
    uint32_t mask;
    __builtin_memcpy(&mask, st.before, sizeof mask);
    if ((mask & kStatxDioAlign) != 0) {
      if (st.dio_offset_align == 0) return false;
      units->offset_align = std::max<uint32_t>(512, std::bit_ceil(st.dio_offset_align));
      units->memory_align = std::max<uint32_t>(512, std::bit_ceil(st.dio_mem_align));
      return true;
    }
  }
  for (const uint32_t unit : {512u, 4096u}) {
    if (trial_read(fd, unit)) {
      // An empty file tells nothing: take the safe unit.
      units->offset_align = size_bytes < 1024 ? 4096 : unit;
      units->memory_align = units->offset_align;
      return true;
    }
  }
  return false;
}

}  // namespace dmiofs
