// The core by itself: MirrorSet over an engine, without FUSE and without Node. What one read or write costs above the devices, and how it scales.
//
//   core [--engine=null|uring|threads] [--op=read|write|mixed] [--bytes=4096] [--legs=2] [--sets=1] [--threads=1] [--seconds=1] [--delay-us=N] [--timeout-ms=30000]
//        [--folder=DIR] [--log] [--sequential] [--misaligned]
//
// `--delay-us` puts the fault engine in between, which makes each I/O last at least that long. Prints one line: rate, CPU time and context switches an operation.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "engine/fault.h"
#include "mirror/core_log.h"
#include "mirror/mirror_set.h"

using namespace dmiofs;

namespace {

constexpr uint64_t kSetBytes = 256ull * 1024 * 1024;

std::map<std::string, std::string> parse(int argc, char** argv) {
  std::map<std::string, std::string> options{
      {"engine", "null"},      {"op", "write"},     {"bytes", "4096"},  {"legs", "2"},  {"sets", "1"},
      {"threads", "1"},        {"seconds", "1"},    {"delay-us", "0"},  {"folder", ""}, {"log", "0"},
      {"timeout-ms", "30000"}, {"sequential", "0"}, {"misaligned", "0"}};
  for (int i = 1; i < argc; i++) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals).substr(2);
    if (text.rfind("--", 0) != 0 || !options.contains(name)) {
      std::fprintf(stderr, "unknown option %s\n", text.c_str());
      std::exit(2);
    }
    options[name] = equals == std::string::npos ? "1" : text.substr(equals + 1);
  }
  return options;
}

std::shared_ptr<Device> open_leg(const std::string& path, bool null_engine) {
  {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (null_engine) {
      if (::ftruncate(fd.get(), static_cast<off_t>(kSetBytes)) != 0) std::abort();
    } else if (::lseek(fd.get(), 0, SEEK_END) < static_cast<off_t>(kSetBytes)) {
      const std::vector<uint8_t> block(1 << 20, 1);  // allocated: what is measured overwrites
      for (uint64_t at = 0; at < kSetBytes; at += block.size())
        if (::pwrite(fd.get(), block.data(), block.size(), static_cast<off_t>(at)) < 0) std::abort();
      ::fsync(fd.get());
    }
  }
  auto device = Device::open(path, DeviceOpen{.writable = true, .exclusive = false});
  if (!device.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), device.error().hint.c_str());
    std::exit(1);
  }
  return device.take();
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse(argc, argv);
  const auto num = [&options](const char* name) { return std::strtoull(options[name].c_str(), nullptr, 10); };
  const bool null_engine = options["engine"] == "null";
  std::shared_ptr<Engine> engine = make_engine(null_engine                      ? EngineKind::kNull
                                               : options["engine"] == "threads" ? EngineKind::kThreads
                                                                                : EngineKind::kUring)
                                       .value()
                                       .engine;
  if (num("delay-us") > 0) {
    auto rules = std::make_shared<FaultRules>();
    FaultRule rule;
    rule.action = FaultAction::kDelay;
    rule.delay_nanos = static_cast<nanos_t>(num("delay-us")) * 1000;
    rules->add(rule);
    engine = make_fault_engine(engine, rules);
  }
  const size_t bytes = num("bytes");
  DmIoOptions io;
  io.max_run_bytes = std::max<size_t>(io.max_run_bytes, bytes);
  auto dm_io = DmIo::create(engine, io).take();
  std::string folder = options["folder"];
  if (folder.empty()) folder = "/dev/shm/dmiofs-core-bench";
  (void)!::system(("mkdir -p " + folder).c_str());

  std::vector<std::shared_ptr<MirrorSet>> sets;
  for (unsigned s = 0; s < num("sets"); s++) {
    MirrorSetOptions set;
    set.name = "bench" + std::to_string(s);
    set.count = sectors_of(kSetBytes);
    set.io_timeout = static_cast<nanos_t>(num("timeout-ms")) * kNanosPerMilli;
    for (unsigned leg = 0; leg < num("legs"); leg++) {
      // Sets share the files: what is measured is the core, not the space.
      const std::string path = folder + "/leg" + std::to_string(leg);
      set.legs.push_back(LegOptions{.device = path, .bdev = open_leg(path, null_engine)});
    }
    sets.push_back(MirrorSet::create(*dm_io, std::move(set)).take());
  }

  const unsigned threads = static_cast<unsigned>(num("threads"));
  const bool sequential = num("sequential") != 0;
  const uint64_t shift = num("misaligned") != 0 ? 100 : 0;
  std::vector<uint64_t> done(threads * 16), failed(threads * 16);
  std::vector<std::thread> running;
  std::atomic<bool> stop{false};
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const nanos_t started = now_nanos();
  for (unsigned t = 0; t < threads; t++) {
    running.emplace_back([&, t] {
      void* memory = nullptr;
      if (posix_memalign(&memory, 4096, bytes) != 0) std::abort();
      std::memset(memory, 7, bytes);
      uint64_t x = t * 7919 + 1;
      const uint64_t slots = kSetBytes / bytes - 1;
      uint64_t at = slots / threads * t;
      while (!stop.load(std::memory_order_relaxed)) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        at = sequential ? (at + 1) % slots : (x >> 20) % slots;
        MirrorSet& set = *sets[(x >> 50) % sets.size()];
        const bool write = options["op"] == "write" || (options["op"] == "mixed" && (x >> 40 & 3) == 0);
        const int err = write ? set.write(memory, bytes, at * bytes + shift)
                              : set.read(memory, bytes, at * bytes + shift);
        if (err != 0) failed[t * 16]++;
        done[t * 16]++;
      }
      free(memory);
    });
  }
  usleep(static_cast<useconds_t>(std::strtod(options["seconds"].c_str(), nullptr) * 1e6));
  stop = true;
  for (auto& thread : running) thread.join();
  const double seconds = static_cast<double>(now_nanos() - started) / 1e9;
  getrusage(RUSAGE_SELF, &after);
  uint64_t total = 0, errors = 0;
  for (unsigned t = 0; t < threads; t++) {
    total += done[t * 16];
    errors += failed[t * 16];
  }
  const auto micros = [](const timeval& a, const timeval& b) {
    return static_cast<double>(b.tv_sec - a.tv_sec) * 1e6 + static_cast<double>(b.tv_usec - a.tv_usec);
  };
  const double n = static_cast<double>(total);
  std::printf(
      "%s %s %zu B legs=%llu sets=%llu threads=%u: %.0f/s  %.3f us each  cpu user %.3f sys %.3f us  switches "
      "%.2f%s\n",
      options["engine"].c_str(), options["op"].c_str(), bytes, num("legs"), num("sets"), threads, n / seconds,
      seconds * 1e6 * threads / n, micros(before.ru_utime, after.ru_utime) / n,
      micros(before.ru_stime, after.ru_stime) / n, static_cast<double>(after.ru_nvcsw - before.ru_nvcsw) / n,
      errors > 0 ? "  ERRORS" : "");
  for (auto& set : sets) set->stop();
  return errors > 0 ? 1 : 0;
}
