#include "fusemod/request_edit.h"

#include <sys/stat.h>

#include <cstring>

#include "base/stage_times.h"

// Last: it redefines names of the system's own headers.
#include <fuse_kernel.h>

namespace dmiofs {
namespace {

struct CurrentRequest {
  uint64_t unique = 0;
  bool has_reply_size = false;
  uint64_t reply_size = 0;
};
thread_local CurrentRequest t_request;

// libfuse calls utimens only when both times are set (unless the bottom file system, fuse-native, could omit one): the other one is
// added here as "leave it alone", which our utimens understands.
void complete_times(fuse_setattr_in* attr) {
  const uint32_t both = FATTR_ATIME | FATTR_MTIME;
  const uint32_t set = attr->valid & both;
  if (set == 0 || set == both) return;
  if (set == FATTR_MTIME) {
    attr->atime = 0;
    attr->atimensec = UTIME_OMIT;
  } else {
    attr->mtime = 0;
    attr->mtimensec = UTIME_OMIT;
  }
  attr->valid |= both;
}

void begin_timing(uint32_t opcode) {
  switch (opcode) {
    case FUSE_READ: StageTimes::begin(TimedOp::kRead); break;
    case FUSE_WRITE: StageTimes::begin(TimedOp::kWrite); break;
    case FUSE_FSYNC: StageTimes::begin(TimedOp::kFlush); break;
    default: break;
  }
}

template <typename Body>
Body* body_of(char* message, size_t size, size_t needed) {
  if (size < sizeof(fuse_in_header) + needed) return nullptr;
  return reinterpret_cast<Body*>(message + sizeof(fuse_in_header));
}

}  // namespace

bool edit_request(MountContext& context, char* message, size_t size) {
  if (size < sizeof(fuse_in_header)) return false;
  const auto* header = reinterpret_cast<const fuse_in_header*>(message);
  t_request.unique = header->unique;
  t_request.has_reply_size = false;
  if (StageTimes::enabled()) begin_timing(header->opcode);
  if (header->opcode == FUSE_SETATTR) {
    if (auto* attr = body_of<fuse_setattr_in>(message, size, sizeof(fuse_setattr_in)); attr != nullptr)
      complete_times(attr);
  } else if (header->opcode == FUSE_INIT) {
    // The two version words are there in every version of the protocol.
    const auto* init = body_of<fuse_init_in>(message, size, 2 * sizeof(uint32_t));
    if (init != nullptr) context.kernel_minor = init->minor;
  }
  return true;
}

void set_reply_size(uint64_t size) {
  t_request.has_reply_size = true;
  t_request.reply_size = size;
}

bool edit_reply(const iovec* parts, size_t count, ReplyEdit* edit) {
  if (!t_request.has_reply_size || count != 2) return false;
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->unique != t_request.unique) return false;
  t_request.has_reply_size = false;
  if (header->error != 0 || parts[1].iov_len != sizeof(fuse_attr_out)) return false;
  static_assert(sizeof(fuse_attr_out) <= sizeof(edit->payload));
  auto* attr = reinterpret_cast<fuse_attr_out*>(edit->payload);
  std::memcpy(attr, parts[1].iov_base, sizeof(fuse_attr_out));
  attr->attr_valid = 0;
  attr->attr_valid_nsec = 0;
  attr->attr.size = t_request.reply_size;
  edit->parts[0] = parts[0];
  edit->parts[1] = {edit->payload, sizeof(fuse_attr_out)};
  return true;
}

}  // namespace dmiofs
