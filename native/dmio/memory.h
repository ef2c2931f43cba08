// Memory: the three kinds of memory that dm-io moves, and one cursor over all of them.
//
//   page list  linked 4096-byte pages, with a byte offset into the first (kernel: struct page_list,
//   list_dp_init)
//   bvec       an array of (page, offset, length) pieces (kernel: struct bio_vec, bvec_dp_init)
//   vm         one contiguous buffer of any length (kernel: vm_dp_init)
//
// A MemoryCursor yields contiguous pieces; it is a value, so that saving and rewinding it for each I/O region
// is a copy.
// THREAD SAFETY: values. OWNERSHIP: none of the memory; it stays valid and unchanged until the request has
// ended.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dmiofs {

struct PageList {
  PageList* next = nullptr;
  uint8_t* page = nullptr;  // kPageSize bytes
};

struct BioVec {
  uint8_t* page = nullptr;
  size_t len = 0;     // bytes; a multiple of 512
  size_t offset = 0;  // bytes into page
};

enum class MemoryKind : uint8_t { kPageList, kBvec, kVm };

class MemoryCursor {
 public:
  static MemoryCursor page_list(PageList* list, size_t offset);
  static MemoryCursor bvec(const BioVec* vecs, size_t count);
  static MemoryCursor vm(void* data, size_t length);

  struct Piece {
    uint8_t* data = nullptr;
    size_t length = 0;  // 0: the end of the memory
  };
  Piece piece() const;
  void advance(size_t bytes);  // at most the piece's length

 private:
  MemoryKind kind_ = MemoryKind::kVm;
  union {
    PageList* list;
    const BioVec* vec;
    uint8_t* data;
  } at_ = {};
  size_t left_ = 0;    // bvec: vectors left, with this one; vm: bytes left
  size_t offset_ = 0;  // into the page or the vector
};

}  // namespace dmiofs
