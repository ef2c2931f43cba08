#include "fusemod/session_features.h"

#include <algorithm>
#include <cstring>

#include "base/sector.h"
#include "fusemod/kernel_protocol.h"

namespace dmiofs {
namespace {

constexpr size_t kInitWithoutFlags2 = 16;  // bytes of the request of older kernels
constexpr size_t kLibfuseReply = 24;
constexpr size_t kStockRequest = 128 * 1024;

}  // namespace

void SessionFeatures::copy(const SessionFeatures& from) {
  minor_.store(from.minor_.load());
  offered_.store(from.offered_.load());
  granted_.store(from.granted_.load());
  max_request_.store(from.max_request_.load());
}

bool SessionFeatures::writeback() const { return (granted() & kernel::kInitWritebackCache) != 0; }

void SessionFeatures::read_offer(const void* init, size_t size) {
  kernel::InitIn in{};
  std::memcpy(&in, init, std::min(size, sizeof(in)));
  minor_.store(in.minor);
  if (size < kInitWithoutFlags2) return;
  uint64_t offered = in.flags;
  if ((offered & kernel::kInitExt) != 0 && size >= kInitWithoutFlags2 + sizeof(in.flags2))
    offered |= uint64_t{in.flags2} << 32;
  offered_.store(offered);
}

bool SessionFeatures::extend_reply(const void* answer, size_t size, void* out) {
  if (size != kLibfuseReply) return false;
  kernel::InitOut reply{};
  std::memcpy(&reply, answer, size);
  uint64_t wanted = kernel::kInitAsyncDio | kernel::kInitMaxPages | kernel::kInitHandleKillprivV2 |
                    kernel::kInitDirectIoAllowMmap | kernel::kInitExt;
  if (want_writeback) wanted |= kernel::kInitWritebackCache;
  const uint64_t granted = wanted & offered_.load();
  reply.flags |= static_cast<uint32_t>(granted);
  reply.flags2 = static_cast<uint32_t>(granted >> 32);
  if ((granted & kernel::kInitMaxPages) != 0) {
    reply.max_pages = kExtendedRequest / kPageSize;
    max_request_.store(reply.max_write);
  } else {
    reply.max_write = std::min<uint32_t>(reply.max_write, kStockRequest);
  }
  granted_.store(granted);
  std::memcpy(out, &reply, sizeof(reply));
  return true;
}

uint32_t SessionFeatures::open_flags(uint32_t libfuse_flags) const {
  const bool direct = (libfuse_flags & kernel::kOpenDirectIo) != 0;
  if (!direct || kernel_minor() < kernel::kMinorOfParallelDirectWrites) return libfuse_flags;
  return libfuse_flags | kernel::kOpenParallelDirectWrites;
}

}  // namespace dmiofs
