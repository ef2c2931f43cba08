// SessionFeatures: what this mount's session has beyond libfuse 2.9's, agreed with the kernel at INIT.
//
//     nothing known --read_offer(): the kernel's INIT--> offered --extend_reply(): our answer--> granted
//
// Asked for, each only where the running kernel offers it:
// - 1 MiB requests: a large write goes to the legs as one I/O each;
// - asynchronous direct I/O: libaio and io_uring users have more than one in flight;
// - parallel direct writes (at OPEN): the range lock keeps overlapping ones apart, not the kernel's inode lock;
// - killpriv_v2: the kernel does not ask for `security.capability` before each cached write. Files here never have set-id bits;
// - shared mmap of files that are opened direct;
// - the writeback cache, when the mount wants it.
//
// THREAD SAFETY: any thread: atomics, written once by the session's first thread. OWNERSHIP: a member of its MountContext.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace dmiofs {

inline constexpr size_t kExtendedRequest = size_t{1} << 20;  // bytes of one read or write

class SessionFeatures {
 public:
  // The body of the kernel's INIT request, `size` bytes.
  void read_offer(const void* init, size_t size);
  // libfuse's answer of `size` bytes, made into the one with our features in `out` (of 64 bytes). False: it stays as it is.
  bool extend_reply(const void* answer, size_t size, void* out);

  unsigned kernel_minor() const { return minor_.load(std::memory_order_relaxed); }
  uint64_t granted() const {
    return granted_.load(std::memory_order_relaxed);
  }  // kInit... of kernel_protocol.h
  // The kernel keeps what is written in its cache, and with that the files' sizes and times: what we say of them it ignores.
  bool writeback() const;
  size_t max_request() const { return max_request_.load(std::memory_order_relaxed); }
  // The flags that an OPEN's reply gets: parallel direct writes for a file opened direct.
  uint32_t open_flags(uint32_t libfuse_flags) const;

  void copy(const SessionFeatures& from);

  bool want_writeback = false;  // before the session begins

 private:
  std::atomic<unsigned> minor_{0};
  std::atomic<uint64_t> offered_{0};
  std::atomic<uint64_t> granted_{0};
  std::atomic<size_t> max_request_{128 * 1024};
};

}  // namespace dmiofs
