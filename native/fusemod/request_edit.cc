#include "fusemod/request_edit.h"

#include <sys/stat.h>

#include <cstring>

#include "base/stage_times.h"
#include "fusemod/kernel_protocol.h"

// Last: it redefines names of the system's own headers.
#include <fuse_kernel.h>

namespace dmiofs {
namespace {

struct CurrentRequest {
  uint64_t unique = 0;
  uint32_t opcode = 0;
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
  t_request.opcode = header->opcode;
  t_request.has_reply_size = false;
  if (StageTimes::enabled()) begin_timing(header->opcode);
  if (header->opcode == FUSE_SETATTR) {
    if (auto* attr = body_of<fuse_setattr_in>(message, size, sizeof(fuse_setattr_in)); attr != nullptr)
      complete_times(attr);
  } else if (header->opcode == FUSE_INIT) {
    // The two version words are there in every version of the protocol.
    if (const char* init = body_of<char>(message, size, 2 * sizeof(uint32_t)); init != nullptr)
      context.features.read_offer(init, size - sizeof(fuse_in_header));
  }
  return true;
}

void set_reply_size(uint64_t size) {
  t_request.has_reply_size = true;
  t_request.reply_size = size;
}

namespace {

void set_parts(const fuse_out_header& header, size_t payload, ReplyEdit* edit) {
  static_assert(sizeof(fuse_out_header) <= sizeof(edit->header));
  fuse_out_header changed = header;
  changed.len = static_cast<uint32_t>(sizeof(changed) + payload);
  std::memcpy(edit->header, &changed, sizeof(changed));
  edit->parts[0] = {edit->header, sizeof(changed)};
  edit->parts[1] = {edit->payload, payload};
}

bool edit_size(const fuse_out_header& header, const iovec& body, ReplyEdit* edit) {
  t_request.has_reply_size = false;
  if (body.iov_len != sizeof(fuse_attr_out)) return false;
  static_assert(sizeof(fuse_attr_out) <= sizeof(edit->payload));
  auto* attr = reinterpret_cast<fuse_attr_out*>(edit->payload);
  std::memcpy(attr, body.iov_base, sizeof(fuse_attr_out));
  attr->attr_valid = 0;
  attr->attr_valid_nsec = 0;
  attr->attr.size = t_request.reply_size;
  set_parts(header, sizeof(fuse_attr_out), edit);
  return true;
}

bool edit_open(const SessionFeatures& features, const fuse_out_header& header, const iovec& body,
               ReplyEdit* edit) {
  if (body.iov_len != sizeof(fuse_open_out)) return false;
  auto* open = reinterpret_cast<fuse_open_out*>(edit->payload);
  std::memcpy(open, body.iov_base, sizeof(fuse_open_out));
  const uint32_t flags = features.open_flags(open->open_flags);
  if (flags == open->open_flags) return false;
  open->open_flags = flags;
  set_parts(header, sizeof(fuse_open_out), edit);
  return true;
}

}  // namespace

bool edit_reply(MountContext& context, const iovec* parts, size_t count, ReplyEdit* edit) {
  const uint32_t opcode = t_request.opcode;
  if (count != 2 || (!t_request.has_reply_size && opcode != FUSE_OPEN && opcode != FUSE_INIT)) return false;
  const auto& header = *static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header.unique != t_request.unique) return false;
  if (header.error != 0) {
    t_request.has_reply_size = false;
    return false;
  }
  if (t_request.has_reply_size) return edit_size(header, parts[1], edit);
  if (opcode == FUSE_OPEN) return edit_open(context.features, header, parts[1], edit);
  if (!context.features.extend_reply(parts[1].iov_base, parts[1].iov_len, edit->payload)) return false;
  set_parts(header, sizeof(kernel::InitOut), edit);
  return true;
}

}  // namespace dmiofs
