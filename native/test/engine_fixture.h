// What the tests of the engine and device layers share: image files, aligned buffers, Ios that count their
// completions, and ENGINE_TEST, which runs a test on every engine that touches devices.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "device/device.h"
#include "engine/engine.h"
#include "engine/fault.h"
#include "test/harness.h"

namespace dmiofs::test {

// A new file of `bytes` random bytes; its path.
std::string make_image(uint64_t bytes);
// Opens it; a failure ends the program, since no test could go on.
std::shared_ptr<Device> open_image(const std::string& path, DeviceOpen how = {});
inline std::shared_ptr<Device> new_device(uint64_t bytes) { return open_image(make_image(bytes)); }
std::string file_content(const std::string& path);

class Buffer {
 public:
  explicit Buffer(size_t size, int fill = 0);
  ~Buffer() { free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() { return data_; }
  size_t size() const { return size_; }
  void randomise(uint64_t seed);
  std::string text() const { return std::string(reinterpret_cast<const char*>(data_), size_); }

 private:
  uint8_t* data_;
  size_t size_;
};

// An Io that counts how often it completed; `then` runs after that. It does not move.
struct CountedIo {
  CountedIo(IoOp op, const std::shared_ptr<Device>& device, uint64_t offset, uint64_t length,
            void* memory = nullptr);
  CountedIo(const CountedIo&) = delete;
  Io io;
  iovec vector = {};
  std::atomic<int> completions{0};
  void (*then)(CountedIo* self) = nullptr;
  void* owner = nullptr;
};

// Runs one I/O to its end; its result.
int run_io(IoQueue& queue, IoOp op, const std::shared_ptr<Device>& device, uint64_t offset, uint64_t length,
           void* memory = nullptr);

// Waits until `condition` holds (the test's watchdog ends a wait in vain).
template <typename Condition>
void wait_until(Condition condition) {
  while (!condition()) {
    const timespec pause = {0, 200'000};
    nanosleep(&pause, nullptr);
  }
}

// "uring", "threads", "fault(uring)"; null when this machine has no io_uring and it takes one.
std::shared_ptr<Engine> engine_named(const std::string& name);

using EngineTestFn = void (*)(Engine& engine);
void run_on_engine(const char* name, EngineTestFn fn);
// The images that `fn` makes are files in memory.
void run_in_memory(const char* name, EngineTestFn fn);

}  // namespace dmiofs::test

#define ENGINE_TEST(name)                                                                               \
  static void engine_test_##name(::dmiofs::Engine& engine);                                             \
  TEST(engine_uring, name) { ::dmiofs::test::run_on_engine("uring", engine_test_##name); }              \
  TEST(engine_uring_memory, name) { ::dmiofs::test::run_in_memory("uring", engine_test_##name); }       \
  TEST(engine_threads, name) { ::dmiofs::test::run_on_engine("threads", engine_test_##name); }          \
  TEST(engine_fault_uring, name) { ::dmiofs::test::run_on_engine("fault(uring)", engine_test_##name); } \
  static void engine_test_##name(::dmiofs::Engine& engine)
