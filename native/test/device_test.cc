// The device layer: what opens and what is refused, locks, units of direct I/O, identity. Loop devices where root may make them.
#include "device/device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cstring>

#include "base/scope_exit.h"
#include "test/engine_fixture.h"

namespace dmiofs::test {
namespace {

int error_of(const std::string& path, DeviceOpen how = {}) {
  auto device = Device::open(path, how);
  return device.ok() ? 0 : device.error().err;
}

// A loop device over an image file, detached at the end of its life.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& image, uint32_t block_size = 512, uint32_t flags = 0,
                      uint64_t offset = 0) {
    UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control.valid()) return;
    UniqueFd backing(
        ::open(image.c_str(), ((flags & LO_FLAGS_READ_ONLY) != 0 ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    for (int attempt = 0; attempt < 20; attempt++) {
      const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
      if (number < 0) return;
      path_ = "/dev/loop" + std::to_string(number);
      fd_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
      if (!fd_.valid()) fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd_.valid()) return;
      loop_config config = {};
      config.fd = static_cast<uint32_t>(backing.get());
      config.block_size = block_size;
      config.info.lo_flags =
          flags | LO_FLAGS_AUTOCLEAR;  // gone with its last user, also if this program dies
      config.info.lo_offset = offset;
      if (ioctl(fd_.get(), LOOP_CONFIGURE, &config) == 0) {
        usable_ = true;
        return;
      }
      if (errno != EBUSY) return;  // another program was faster
    }
  }
  bool usable() const { return usable_; }
  const std::string& path() const { return path_; }

 private:
  UniqueFd fd_;
  std::string path_;
  bool usable_ = false;
};

constexpr const char* kNoLoop = "no loop device can be made here (not root?)";

std::unique_ptr<IoQueue> best_queue() {
  auto engine = make_engine(EngineKind::kAuto);
  static std::vector<std::shared_ptr<Engine>> engines;
  engines.push_back(engine.value().engine);
  return engines.back()->open_queue(8).take();
}

// Writes, reads back and flushes one unit at the device's end.
void check_io(const std::shared_ptr<Device>& device) {
  const uint32_t unit = device->info().logical_block_size;
  const uint64_t offset = device->info().size_bytes / unit * unit - unit;
  Buffer out(unit);
  Buffer in(unit);
  out.randomise(seed());
  auto queue = best_queue();
  CHECK_EQ(run_io(*queue, IoOp::kWrite, device, offset, unit, out.data()), 0);
  CHECK_EQ(run_io(*queue, IoOp::kFlush, device, 0, 0), 0);
  CHECK_EQ(run_io(*queue, IoOp::kRead, device, offset, unit, in.data()), 0);
  CHECK(in.text() == out.text());
}

}  // namespace

TEST(device, an_image_file) {
  const std::string path = make_image(65536);
  auto device = open_image(path);
  const DeviceInfo& info = device->info();
  CHECK_EQ(info.path, path);
  CHECK(info.kind == DeviceKind::kFile);
  CHECK_EQ(info.size_bytes, 65536u);
  CHECK(info.writable);
  CHECK(!info.read_only_medium);
  CHECK_EQ(info.rdev, 0u);
  struct stat st;
  REQUIRE(stat(path.c_str(), &st) == 0);
  CHECK_EQ(info.fs_dev, st.st_dev);
  CHECK_EQ(info.identity.inode, st.st_ino);
  CHECK((fcntl(device->fd(), F_GETFD) & FD_CLOEXEC) != 0);
  const int flags = fcntl(device->fd(), F_GETFL);
  CHECK_EQ((flags & O_DIRECT) != 0, info.direct);
  CHECK_EQ((flags & O_DSYNC) != 0, !info.direct);
  CHECK_EQ(flags & O_NONBLOCK, 0);
  check_io(device);
}

TEST(device, what_is_refused) {
  const std::string folder = temp_dir();
  CHECK_EQ(error_of(folder + "/none"), ENOENT);
  CHECK_EQ(error_of(folder), ENOTBLK);
  CHECK_EQ(error_of("/dev/null"), ENOTBLK);
  const std::string fifo = folder + "/fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_EQ(error_of(fifo), ENOTBLK);  // and does not wait for a writer
  CHECK(!Device::probe(fifo).ok());
  const std::string loop = folder + "/symlink-loop";
  REQUIRE(symlink(loop.c_str(), loop.c_str()) == 0);
  CHECK_EQ(error_of(loop), ELOOP);
  const auto missing = Device::open(folder + "/none", {});
  CHECK_EQ(missing.error().message(), "open " + folder + "/none: No such file or directory");
}

TEST(device, a_second_writer_is_refused) {
  const std::string path = make_image(8192);
  auto first = open_image(path);
  auto second = Device::open(path, {});
  REQUIRE(!second.ok());
  CHECK_EQ(second.error().err, EBUSY);
  CHECK(second.error().hint.find("another dmiofs") != std::string::npos);
  CHECK_EQ(error_of(path, {.writable = false}), EBUSY);  // a reader would see it change
  CHECK_EQ(error_of(path, {.exclusive = false}), 0);
  first.reset();
  CHECK_EQ(error_of(path), 0);
}

// Several I/O regions of this process on one image: one claim, held until the last of them is closed.
TEST(device, those_who_share_have_one_claim) {
  const std::string path = make_image(8192);
  const DeviceOpen sharing{.share = true};
  auto opened = Device::open(path, sharing);
  REQUIRE(opened.ok());
  std::shared_ptr<Device> first = opened.take();
  auto again = Device::open(path, sharing);
  REQUIRE(again.ok());
  std::shared_ptr<Device> second = again.take();
  CHECK(first->same_claim(*second));
  CHECK(first->fd() != second->fd());
  CHECK_EQ(error_of(path), EBUSY);  // who does not share is kept out
  first.reset();
  CHECK_EQ(error_of(path), EBUSY);
  auto third = Device::open(path, sharing);
  REQUIRE(third.ok());
  CHECK(second->same_claim(*third.value()));
  second.reset();
  third = Error{};
  CHECK_EQ(error_of(path), 0);
  // What somebody else holds is not shared.
  auto alone = open_image(path);
  CHECK_EQ(error_of(path, sharing), EBUSY);
  alone.reset();
  // A lock for reading is not enough for a writer.
  auto reader = Device::open(path, {.writable = false, .share = true});
  REQUIRE(reader.ok());
  CHECK_EQ(error_of(path, sharing), EBUSY);
  CHECK_EQ(error_of(path, {.writable = false, .share = true}), 0);
}

TEST(device, readers_share_and_keep_writers_out) {
  const std::string path = make_image(8192);
  auto first = open_image(path, {.writable = false});
  auto second = open_image(path, {.writable = false});
  CHECK(!first->info().writable);
  CHECK_EQ(error_of(path), EBUSY);
}

TEST(device, a_probe_neither_minds_nor_breaks_a_lock) {
  const std::string path = make_image(12288);
  auto device = open_image(path);
  auto probed = Device::probe(path);
  REQUIRE(probed.ok());
  CHECK_EQ(probed.value().size_bytes, 12288u);
  CHECK(probed.value().identity == device->info().identity);
  CHECK_EQ(probed.value().direct, device->info().direct);
  CHECK_EQ(probed.value().logical_block_size, device->info().logical_block_size);
  CHECK(!probed.value().writable);
  CHECK_EQ(error_of(path), EBUSY);  // as it would not be with a POSIX lock
}

TEST(device, a_symlink_is_what_it_points_to) {
  const std::string path = make_image(8192);
  const std::string link = path + ".link";
  REQUIRE(symlink(path.c_str(), link.c_str()) == 0);
  auto by_link = Device::probe(link);
  REQUIRE(by_link.ok());
  CHECK_EQ(by_link.value().path, link);
  CHECK(by_link.value().identity == Device::probe(path).value().identity);
}

TEST(device, a_file_on_tmpfs) {
  struct statfs fs;
  if (statfs("/dev/shm", &fs) != 0 || fs.f_type != 0x01021994) SKIP("/dev/shm is no tmpfs");
  const std::string path = "/dev/shm/dmiofs-native-" + std::to_string(getpid());
  ScopeExit remove([&] { unlink(path.c_str()); });
  UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  REQUIRE(made.valid() && ftruncate(made.get(), 65536) == 0);
  check_io(open_image(path));
}

TEST(device, a_unit_that_does_not_fit_means_dsync) {
  const std::string path = make_image(65536);
  const uint32_t unit = Device::probe(path).value().logical_block_size;
  auto device = open_image(path, {.need_alignment = 256});  // less than any direct I/O takes
  CHECK(!device->info().direct);
  CHECK_EQ(device->info().logical_block_size, 512u);
  CHECK((fcntl(device->fd(), F_GETFL) & O_DSYNC) == O_DSYNC);
  CHECK(unit >= 512);
  Buffer memory(4096 + 512);
  auto queue = best_queue();
  CHECK_EQ(run_io(*queue, IoOp::kWrite, device, 512, 512, memory.data() + 1), 0);  // memory of any alignment
}

TEST(device, identity_follows_the_file_not_its_name) {
  const std::string path = make_image(8192);
  const DeviceIdentity before = Device::probe(path).value().identity;
  REQUIRE(rename(path.c_str(), (path + ".moved").c_str()) == 0);
  CHECK(Device::probe(path + ".moved").value().identity == before);
  const std::string other = make_image(8192);
  CHECK(!(Device::probe(other).value().identity == before));
}

TEST(device, a_file_made_anew_is_another_one) {
  const std::string path = temp_dir() + "/made-anew";
  const auto make = [&] {
    unlink(path.c_str());
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    (void)!ftruncate(fd.get(), 8192);
    return Device::probe(path).value().identity;
  };
  const DeviceIdentity first = make();
  if (first.serial.empty()) SKIP("the file system of the temporary folder has no creation times");
  for (int i = 0; i < 5; i++) {
    const timespec tick = {0, 20'000'000};  // the file system's clock ticks every 1 to 10 ms
    nanosleep(&tick, nullptr);
    CHECK(!(make() == first));
  }
}

TEST(device, an_unknown_creation_time_is_no_difference) {
  DeviceIdentity a{.kind = DeviceKind::kFile, .dev = 1, .inode = 2, .serial = "born:1.2"};
  DeviceIdentity b = a;
  b.serial.clear();
  CHECK(a == b && b == a);
  b.serial = "born:1.3";
  CHECK(!(a == b));
  a.kind = b.kind = DeviceKind::kBlock;
  b.serial.clear();
  CHECK(!(a == b));
}

TEST(device, a_loop_device) {
  const std::string image = make_image(1 << 20);
  LoopDevice loop(image);
  if (!loop.usable()) SKIP(kNoLoop);
  auto device = open_image(loop.path());
  CHECK(device->info().kind == DeviceKind::kBlock);
  CHECK_EQ(device->info().size_bytes, 1u << 20);
  CHECK_EQ(device->info().logical_block_size, 512u);
  CHECK(device->info().direct);
  struct stat st;
  REQUIRE(stat(loop.path().c_str(), &st) == 0);
  CHECK_EQ(device->info().rdev, st.st_rdev);
  check_io(device);
  auto second = Device::open(loop.path(), {});
  REQUIRE(!second.ok());
  CHECK_EQ(second.error().err, EBUSY);
  CHECK(!second.error().hint.empty());
  CHECK(Device::probe(loop.path()).ok());
  CHECK_EQ(error_of(loop.path(), {.share = true}), EBUSY);  // the first does not share
  device.reset();
  CHECK_EQ(error_of(loop.path()), 0);
  auto sharing = Device::open(loop.path(), {.share = true});
  REQUIRE(sharing.ok());
  CHECK_EQ(error_of(loop.path(), {.share = true}), 0);
  CHECK_EQ(error_of(loop.path()), EBUSY);
}

TEST(device, a_loop_device_of_4096_byte_blocks) {
  const std::string image = make_image(1 << 20);
  LoopDevice loop(image, 4096);
  if (!loop.usable()) SKIP(kNoLoop);
  CHECK_EQ(Device::probe(loop.path()).value().logical_block_size, 4096u);
  auto refused = Device::open(loop.path(), {.need_alignment = 512});
  REQUIRE(!refused.ok());
  CHECK_EQ(refused.error().err, EINVAL);
  CHECK(refused.error().hint.find("4096") != std::string::npos);
  auto device = open_image(loop.path());
  CHECK_EQ(device->info().logical_block_size, 4096u);
  CHECK_EQ(device->info().memory_align, 4096u);
  check_io(device);
  Buffer memory(4096);
  auto queue = best_queue();
  CHECK_EQ(run_io(*queue, IoOp::kRead, device, 512, 512, memory.data()), -EINVAL);
}

TEST(device, zeroes_on_a_loop_device) {
  const std::string image = make_image(1 << 20);
  LoopDevice loop(image);
  if (!loop.usable()) SKIP(kNoLoop);
  auto device = open_image(loop.path());
  auto queue = best_queue();
  Buffer memory(65536, 1);
  CHECK_EQ(run_io(*queue, IoOp::kWriteZeroes, device, 4096, 32768), 0);
  CHECK_EQ(run_io(*queue, IoOp::kRead, device, 0, 65536, memory.data()), 0);
  CHECK(std::string(memory.text(), 4096, 32768) == std::string(32768, '\0'));
  CHECK(memory.text().substr(0, 4096) == file_content(image).substr(0, 4096));
  CHECK(memory.text().substr(36864) == file_content(image).substr(36864, 65536 - 36864));
  const int err = run_io(*queue, IoOp::kDiscard, device, 65536, 65536);
  CHECK(err == 0 || err == -EOPNOTSUPP);
}

TEST(device, a_read_only_block_device_says_so) {
  const std::string image = make_image(1 << 20);
  LoopDevice loop(image, 512, LO_FLAGS_READ_ONLY);
  if (!loop.usable()) SKIP(kNoLoop);
  CHECK(Device::probe(loop.path()).value().read_only_medium);
  auto refused = Device::open(loop.path(), {});
  REQUIRE(!refused.ok());
  CHECK_EQ(refused.error().err, EROFS);
  CHECK_EQ(error_of(loop.path(), {.writable = false}), 0);
}

TEST(device, a_loop_device_is_told_by_its_file_and_offset) {
  const std::string image = make_image(1 << 20);
  DeviceIdentity first;
  {
    LoopDevice loop(image);
    if (!loop.usable()) SKIP(kNoLoop);
    first = Device::probe(loop.path()).value().identity;
  }
  LoopDevice other(make_image(1 << 20));
  LoopDevice again(image);
  LoopDevice shifted(image, 512, 0, 4096);
  REQUIRE(other.usable() && again.usable() && shifted.usable());
  CHECK(Device::probe(again.path()).value().identity == first);
  CHECK(!(Device::probe(other.path()).value().identity == first));
  CHECK(!(Device::probe(shifted.path()).value().identity == first));
}

}  // namespace dmiofs::test
