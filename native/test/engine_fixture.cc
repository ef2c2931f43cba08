#include "test/engine_fixture.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace dmiofs::test {
namespace {

std::string g_image_folder;  // empty: the test's own

}  // namespace

std::string make_image(uint64_t bytes) {
  static std::atomic<unsigned> count{0};
  const std::string path =
      (g_image_folder.empty() ? temp_dir() : g_image_folder) + "/image" + std::to_string(count.fetch_add(1));
  Buffer content(bytes > 0 ? bytes : 1);
  content.randomise(seed() + bytes);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(bytes));
  return path;
}

std::shared_ptr<Device> open_image(const std::string& path, DeviceOpen how) {
  auto device = Device::open(path, how);
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", device.error().message().c_str());
    std::abort();
  }
  return device.take();
}

std::string file_content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

Buffer::Buffer(size_t size, int fill) : size_(size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, size) != 0) std::abort();
  data_ = static_cast<uint8_t*>(memory);
  std::memset(data_, fill, size);
}

void Buffer::randomise(uint64_t from) {
  Random random(from);
  for (size_t i = 0; i < size_; i++) data_[i] = static_cast<uint8_t>(random.next());
}

CountedIo::CountedIo(IoOp op, const std::shared_ptr<Device>& device, uint64_t offset, uint64_t length,
                     void* memory) {
  io.op = op;
  io.device = device.get();
  io.offset = offset;
  io.length = length;
  if (op == IoOp::kRead || op == IoOp::kWrite) {
    vector = {memory, static_cast<size_t>(length)};
    io.iov = &vector;
    io.iov_count = 1;
  }
  io.context = this;
  io.on_complete = [](Io* ended) {
    auto* self = static_cast<CountedIo*>(ended->context);
    self->completions.fetch_add(1);
    if (self->then != nullptr) self->then(self);
  };
}

int run_io(IoQueue& queue, IoOp op, const std::shared_ptr<Device>& device, uint64_t offset, uint64_t length,
           void* memory) {
  CountedIo io(op, device, offset, length, memory);
  queue.queue(&io.io);
  while (io.completions.load() == 0) queue.reap(kNoDeadline);
  return io.io.result;
}

std::shared_ptr<Engine> engine_named(const std::string& name) {
  if (name == "threads") return make_threads_engine();
  auto uring = make_uring_engine();
  if (!uring.ok()) return nullptr;
  if (name == "uring") return uring.take();
  return make_fault_engine(uring.take(), std::make_shared<FaultRules>());
}

void run_on_engine(const char* name, EngineTestFn fn) {
  const std::shared_ptr<Engine> engine = engine_named(name);
  if (engine == nullptr) {
    skip_test("io_uring is not to be had here: " + make_uring_engine().error().message());
    return;
  }
  fn(*engine);
}

void run_in_memory(const char* name, EngineTestFn fn) {
  std::string folder = "/dev/shm/dmiofs-native-XXXXXX";
  struct statfs fs;
  if (mkdtemp(folder.data()) == nullptr || statfs(folder.c_str(), &fs) != 0 || fs.f_type != TMPFS_MAGIC) {
    skip_test("/dev/shm is no tmpfs that can be written");
  } else {
    g_image_folder = folder;
    run_on_engine(name, fn);
    g_image_folder.clear();
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

}  // namespace dmiofs::test
