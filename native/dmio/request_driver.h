// RequestDriver: the core of the dm-io services, sync and async: turns requests into Ios on one queue.
//
// Each I/O region walks the memory from the same saved cursor, in ascending order, by chunks (an Io with its
// vectors), several of them in flight; all I/O regions are tried whatever fails. A chunk whose memory or length does
// not suit the device's direct I/O goes through a bounce buffer.
//
// THREAD SAFETY: none: a driver, its queue and its requests belong to one thread. OWNERSHIP: the caller owns
// the request until complete() ran; the driver owns its chunks.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "dmio/request.h"

namespace dmiofs {

class RequestDriver {
 public:
  // Starts with `reserve` chunks.
  RequestDriver(IoQueue& queue, unsigned reserve);
  ~RequestDriver();

  // queues what the reserve allows; the rest when chunks come free, oldest request first
  void start(Request* request);
  unsigned active() const { return active_; }
  void set_reserve(unsigned chunks);

 private:
  struct Chunk;
  void pump();
  bool issue(Request* request, size_t index);  // false: no chunk is free
  void build(Chunk* chunk, Request::RegionWork* work);
  void ended(Chunk* chunk);
  void drop(Request* request);
  Chunk* take_chunk();
  void put_chunk(Chunk* chunk);

  IoQueue& queue_;
  unsigned reserve_;
  unsigned chunks_out_ = 0;
  unsigned bounce_buffers_ = 0;
  unsigned active_ = 0;
  bool pumping_ = false;
  std::vector<std::unique_ptr<Chunk>> free_;
  std::deque<Request*> unfinished_;  // with something left to issue, in order of arrival
};

}  // namespace dmiofs
