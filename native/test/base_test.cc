// The base layer: values that every other layer counts on.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/errno_name.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/scope_exit.h"
#include "base/sector.h"
#include "base/unique_fd.h"
#include "test/harness.h"

namespace dmiofs::test {

TEST(base, sectors_are_512_bytes) {
  CHECK_EQ(bytes_of(1), 512u);
  CHECK_EQ(bytes_of(uint64_t{1} << 40), uint64_t{1} << 49);
  CHECK_EQ(sectors_of(1023), 1u);
  CHECK_EQ(round_down(4095, 4096), 0u);
  CHECK_EQ(round_up(4097, 4096), 8192u);
  CHECK_EQ(round_up(0, 512), 0u);
  CHECK(is_aligned(8192, 4096) && !is_aligned(8192 + 512, 4096));
  CHECK_EQ(error_bit(63), 0x8000000000000000u);
}

TEST(base, an_error_says_step_object_reason_and_hint) {
  CHECK_EQ((Error{ENOENT, "open", "/a", ""}).message(), "open /a: No such file or directory");
  CHECK_EQ((Error{EBUSY, "lock", "", "unmount it"}).message(), "lock: Device or resource busy (unmount it)");
  CHECK_EQ(std::string(errno_name(EIO)), "EIO");
}

TEST(base, a_result_is_a_value_or_an_error) {
  Result<std::unique_ptr<int>> value = std::make_unique<int>(7);
  REQUIRE(value.ok());
  CHECK_EQ(*value.take(), 7);
  const Result<std::unique_ptr<int>> error = Error{EIO, "read", "", ""};
  CHECK(!error);
  CHECK_EQ(error.error().err, EIO);
  CHECK(ok_status().ok());
}

TEST(base, a_descriptor_is_closed_once) {
  int number = -1;
  {
    UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = first.get();
    UniqueFd second = std::move(first);
    CHECK(!first.valid() && second.valid());  // NOLINT: a moved-from UniqueFd is empty
    second = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK_EQ(fcntl(number, F_GETFD), -1);
    number = second.get();
    CHECK(fcntl(number, F_GETFD) >= 0);
  }
  CHECK_EQ(fcntl(number, F_GETFD), -1);
  UniqueFd kept(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  number = kept.release();
  CHECK(!kept.valid());
  CHECK_EQ(close(number), 0);
}

TEST(base, a_scope_exit_runs_unless_dismissed) {
  std::string trace;
  {
    ScopeExit first([&] { trace += 'a'; });
    ScopeExit second([&] { trace += 'b'; });
    second.dismiss();
    CHECK_EQ(trace, "");
  }
  CHECK_EQ(trace, "a");
}

TEST(base, a_timed_wait_ends) {
  Mutex mutex;
  CondVar changed;
  MutexLock lock(mutex);
  const nanos_t start = now_nanos();
  while (changed.wait_until(mutex, std::chrono::steady_clock::now() + std::chrono::milliseconds(2))) {
  }
  CHECK(now_nanos() > start);
}

}  // namespace dmiofs::test
