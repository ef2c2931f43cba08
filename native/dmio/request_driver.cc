#include "dmio/request_driver.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace dmiofs {
namespace {

constexpr size_t kChunkBytes = 1024 * 1024;
constexpr size_t kBounceBytes = 128 * 1024;
constexpr unsigned kChunkVectors = 64;
constexpr unsigned kRegionWindow = 8;  // chunks of one I/O region in flight
constexpr unsigned kKeptBounceBuffers = 32;
constexpr uint64_t kZeroChunkBytes = 1024ull * 1024 * 1024;  // of one discard or write-zeroes

uint8_t* zero_buffer() {
  static uint8_t* const zeros = [] {
    void* memory = nullptr;
    if (posix_memalign(&memory, kPageSize, kChunkBytes) != 0) abort();
    std::memset(memory, 0, kChunkBytes);
    return static_cast<uint8_t*>(memory);
  }();
  return zeros;
}

// Zeroes the first `length` bytes of the memory.
void zero_memory(MemoryCursor cursor, uint64_t length) {
  while (length > 0) {
    const MemoryCursor::Piece piece = cursor.piece();
    if (piece.length == 0) return;
    const size_t now = std::min<uint64_t>(piece.length, length);
    std::memset(piece.data, 0, now);
    cursor.advance(now);
    length -= now;
  }
}

}  // namespace

struct RequestDriver::Chunk {
  Io io;
  iovec vectors[kChunkVectors];
  RequestDriver* driver = nullptr;
  Request* request = nullptr;
  size_t region = 0;
  uint64_t start = 0;         // bytes from the I/O region's start
  uint8_t* bounce = nullptr;  // kBounceBytes, kept
  bool bounced = false;
  MemoryCursor memory;  // where a bounced chunk's data belong

  ~Chunk() { free(bounce); }
};

RequestDriver::RequestDriver(IoQueue& queue, unsigned reserve)
    : queue_(queue), reserve_(std::max(1u, reserve)) {}
RequestDriver::~RequestDriver() = default;

void RequestDriver::set_reserve(unsigned chunks) {
  reserve_ = std::max(1u, chunks);
  while (free_.size() > reserve_) {
    if (free_.back()->bounce != nullptr) bounce_buffers_--;
    free_.pop_back();
  }
  pump();
}

RequestDriver::Chunk* RequestDriver::take_chunk() {
  if (chunks_out_ >= reserve_) return nullptr;
  std::unique_ptr<Chunk> chunk;
  if (free_.empty()) {
    chunk = std::make_unique<Chunk>();
    chunk->driver = this;
  } else {
    chunk = std::move(free_.back());
    free_.pop_back();
  }
  chunks_out_++;
  return chunk.release();
}

void RequestDriver::put_chunk(Chunk* chunk) {
  chunks_out_--;
  if (chunk->bounce != nullptr && bounce_buffers_ > kKeptBounceBuffers) {
    free(chunk->bounce);
    chunk->bounce = nullptr;
    bounce_buffers_--;
  }
  std::unique_ptr<Chunk> owned(chunk);
  if (free_.size() + chunks_out_ < reserve_) {
    free_.push_back(std::move(owned));
  } else if (owned->bounce != nullptr) {
    bounce_buffers_--;
  }
}

void RequestDriver::start(Request* request) {
  active_++;
  unfinished_.push_back(request);
  pump();
}

void RequestDriver::pump() {
  if (pumping_) return;
  pumping_ = true;
  bool starved = false;  // for want of a chunk: the oldest request gets the next one
  for (size_t at = 0; at < unfinished_.size() && !starved;) {
    Request* request = unfinished_[at];
    bool more = false;  // something is left to issue
    for (size_t index = 0; index < request->regions.size() && !starved; index++) {
      Request::RegionWork& work = request->regions[index];
      const unsigned window = carries_data(request->op) || work.zeros_by_write ? kRegionWindow : 1;
      while (!work.done && work.in_flight < window && !starved) starved = !issue(request, index);
      more = more || !work.done;
    }
    if (starved || more) {
      at++;
      continue;
    }
    unfinished_.erase(unfinished_.begin() + static_cast<std::ptrdiff_t>(at));
    drop(request);  // the starter's own reference
  }
  pumping_ = false;
}

bool RequestDriver::issue(Request* request, size_t index) {
  Chunk* chunk = take_chunk();
  if (chunk == nullptr) return false;
  Request::RegionWork& work = request->regions[index];
  chunk->request = request;
  chunk->region = index;
  chunk->start = work.issued;
  chunk->bounced = false;
  chunk->io = Io{};
  chunk->io.op = request->op;
  chunk->io.device = work.where.bdev.get();
  chunk->io.offset = bytes_of(work.where.sector) + work.issued;
  chunk->io.context = chunk;
  chunk->io.on_complete = [](Io* io) {
    auto* self = static_cast<Chunk*>(io->context);
    self->driver->ended(self);
  };
  build(chunk, &work);
  work.issued += chunk->io.length;
  work.done = request->op == IoOp::kFlush || work.issued >= bytes_of(work.where.count);
  work.in_flight++;
  request->outstanding++;
  queue_.queue(&chunk->io);
  return true;
}

void RequestDriver::build(Chunk* chunk, Request::RegionWork* work) {
  const uint64_t left = bytes_of(work->where.count) - work->issued;
  Io& io = chunk->io;
  if (io.op == IoOp::kFlush) return;
  if (!carries_data(io.op)) {
    if (!work->zeros_by_write) {
      io.length = std::min(left, kZeroChunkBytes);
      return;
    }
    io.op = IoOp::kWrite;
    io.length = std::min<uint64_t>(left, kChunkBytes);
    chunk->vectors[0] = {zero_buffer(), static_cast<size_t>(io.length)};
    io.iov = chunk->vectors;
    io.iov_count = 1;
    return;
  }
  const DeviceInfo& info = work->where.bdev->info();
  io.iov = chunk->vectors;
  while (io.length < std::min<uint64_t>(left, kChunkBytes) && io.iov_count < kChunkVectors) {
    const MemoryCursor::Piece piece = work->cursor.piece();
    const size_t length = std::min<uint64_t>({piece.length, left - io.length, kChunkBytes - io.length});
    const bool suits = is_aligned(reinterpret_cast<uintptr_t>(piece.data), info.memory_align) &&
                       is_aligned(length, info.logical_block_size);
    if (!suits) break;
    chunk->vectors[io.iov_count++] = {piece.data, length};
    io.length += length;
    work->cursor.advance(length);
  }
  if (io.length > 0) return;

  // The next piece does not suit the device: a stretch of whole blocks goes through the bounce buffer.
  if (chunk->bounce == nullptr) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kPageSize, kBounceBytes) != 0) abort();
    chunk->bounce = static_cast<uint8_t*>(memory);
    bounce_buffers_++;
  }
  chunk->bounced = true;
  chunk->memory = work->cursor;
  io.length = std::min<uint64_t>(left, kBounceBytes);
  for (uint64_t at = 0; at < io.length;) {
    const MemoryCursor::Piece piece = work->cursor.piece();
    const size_t length = std::min<uint64_t>(piece.length, io.length - at);
    if (io.op == IoOp::kWrite) std::memcpy(chunk->bounce + at, piece.data, length);
    work->cursor.advance(length);
    at += length;
  }
  chunk->vectors[0] = {chunk->bounce, static_cast<size_t>(io.length)};
  io.iov_count = 1;
}

void RequestDriver::ended(Chunk* chunk) {
  Request* request = chunk->request;
  Request::RegionWork& work = request->regions[chunk->region];
  work.in_flight--;
  int result = chunk->io.result;
  if (result == -EOPNOTSUPP && (chunk->io.op == IoOp::kDiscard || chunk->io.op == IoOp::kWriteZeroes)) {
    // One chunk at a time is in flight for these: go back to its start and write the zeros.
    work.zeros_by_write = true;
    work.issued = chunk->start;
    work.done = false;
    result = 0;
    if (unfinished_.empty() ||
        std::find(unfinished_.begin(), unfinished_.end(), request) == unfinished_.end()) {
      request->outstanding++;  // pump() drops it again
      unfinished_.push_front(request);
    }
  }
  if (result < 0) {
    request->result.error_bits |= error_bit(static_cast<unsigned>(chunk->region));
    if (request->result.errnos[chunk->region] == 0) request->result.errnos[chunk->region] = result;
  } else if (chunk->bounced && chunk->io.op == IoOp::kRead) {
    MemoryCursor cursor = chunk->memory;
    for (uint64_t at = 0; at < chunk->io.length;) {
      const MemoryCursor::Piece piece = cursor.piece();
      const size_t length = std::min<uint64_t>(piece.length, chunk->io.length - at);
      std::memcpy(piece.data, chunk->bounce + at, length);
      cursor.advance(length);
      at += length;
    }
  }
  put_chunk(chunk);
  drop(request);
  pump();
}

void RequestDriver::drop(Request* request) {
  if (--request->outstanding > 0) return;
  active_--;
  if (request->op == IoOp::kRead && request->result.error_bits != 0) {
    zero_memory(request->memory, bytes_of(request->regions[0].where.count));
  }
  request->complete(request);
}

}  // namespace dmiofs
