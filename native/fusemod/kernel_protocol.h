// What the kernel's FUSE protocol has beyond 7.19, the version that libfuse 2.9 speaks and its header knows (kernel: include/uapi/linux/fuse.h).
//
// Only what session_shim.cc's edits use. Flags from bit 32 on stand in `flags2`; they count when FUSE_INIT_EXT is set.
// THREAD SAFETY: constants and plain data.
#pragma once

#include <cstdint>

namespace dmiofs::kernel {

inline constexpr uint64_t kInitAsyncDio = uint64_t{1} << 15;
inline constexpr uint64_t kInitWritebackCache = uint64_t{1} << 16;
inline constexpr uint64_t kInitMaxPages = uint64_t{1} << 22;
inline constexpr uint64_t kInitHandleKillprivV2 = uint64_t{1} << 28;
inline constexpr uint64_t kInitExt = uint64_t{1} << 30;
inline constexpr uint64_t kInitDirectIoAllowMmap = uint64_t{1} << 36;

inline constexpr uint32_t kOpenDirectIo = 1u << 0;
inline constexpr uint32_t kOpenParallelDirectWrites = 1u << 6;

inline constexpr unsigned kMinorOfParallelDirectWrites = 38;  // Linux 6.2

// struct fuse_init_in since 7.36; before, it ends with `flags`.
struct InitIn {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint32_t flags2;
  uint32_t unused[11];
};

// struct fuse_init_out since 7.23; libfuse 2.9 sends the first 24 bytes of it.
struct InitOut {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint16_t max_background;
  uint16_t congestion_threshold;
  uint32_t max_write;
  uint32_t time_gran;
  uint16_t max_pages;
  uint16_t map_alignment;
  uint32_t flags2;
  uint32_t max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitOut) == 64);

}  // namespace dmiofs::kernel
