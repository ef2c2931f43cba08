#include "dmio/memory.h"

#include "base/sector.h"

namespace dmiofs {

MemoryCursor MemoryCursor::page_list(PageList* list, size_t offset) {
  MemoryCursor cursor;
  cursor.kind_ = MemoryKind::kPageList;
  cursor.at_.list = list;
  cursor.offset_ = offset;
  return cursor;
}

MemoryCursor MemoryCursor::bvec(const BioVec* vecs, size_t count) {
  MemoryCursor cursor;
  cursor.kind_ = MemoryKind::kBvec;
  cursor.at_.vec = vecs;
  cursor.left_ = count;
  cursor.advance(0);
  return cursor;
}

MemoryCursor MemoryCursor::vm(void* data, size_t length) {
  MemoryCursor cursor;
  cursor.kind_ = MemoryKind::kVm;
  cursor.at_.data = static_cast<uint8_t*>(data);
  cursor.left_ = length;
  return cursor;
}

MemoryCursor::Piece MemoryCursor::piece() const {
  switch (kind_) {
    case MemoryKind::kPageList:
      if (at_.list == nullptr) return {};
      return {at_.list->page + offset_, kPageSize - offset_};
    case MemoryKind::kBvec:
      if (left_ == 0) return {};
      return {at_.vec->page + at_.vec->offset + offset_, at_.vec->len - offset_};
    case MemoryKind::kVm: return {at_.data, left_};
  }
  return {};
}

void MemoryCursor::advance(size_t bytes) {
  switch (kind_) {
    case MemoryKind::kPageList:
      offset_ += bytes;
      if (offset_ == kPageSize) {
        at_.list = at_.list->next;
        offset_ = 0;
      }
      break;
    case MemoryKind::kBvec:
      offset_ += bytes;
      // Vectors of length 0 hold nothing: they are passed over, so that a piece of length 0 is the end.
      while (left_ > 0 && offset_ == at_.vec->len) {
        at_.vec++;
        left_--;
        offset_ = 0;
      }
      break;
    case MemoryKind::kVm:
      at_.data += bytes;
      left_ -= bytes;
      break;
  }
}

}  // namespace dmiofs
