// The native tests' harness: a registry of tests, checks that print values, skips with a reason, a watchdog
// for each test.
//
//     TEST(sector, rounds_up) { CHECK_EQ(round_up(1, 512), 512u); }
//
// CHECK goes on after a failure; REQUIRE leaves the function it stands in. A test that outlives the watchdog
// ends the program and says which it was: a hang is a failure, not a wait. A crash, too, is counted and
// named.
//
// THREAD SAFETY: CHECK, CHECK_EQ and seed() from any thread of a test; all else from the test's own thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <sstream>
#include <string>
#include <type_traits>

namespace dmiofs::test {

using TestFn = void (*)();

struct Registration {
  Registration(const char* suite, const char* name, TestFn fn);
};

void report_failure(const char* file, int line, const std::string& what);
void skip_test(const std::string& reason);

// The run's seed (--seed=N), for tests that draw random cases; printed with each failure.
uint64_t seed();
// How many rounds of a random test to run: `normal` times --rounds-factor.
unsigned rounds(unsigned normal);
// A folder of this run, removed at its end. In $DMIOFS_TEST_TMP, else in /tmp.
const std::string& temp_dir();

template <typename T>
std::string show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_same_v<T, unsigned char> || std::is_same_v<T, signed char>) {
    return std::to_string(static_cast<int>(value));  // a byte is a number
  } else if constexpr (requires(std::ostream& out) { out << value; }) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return "(a value of " + std::to_string(sizeof value) + " bytes)";
  }
}

template <typename A, typename B>
bool equal(const A& a, const B& b) {
  // A literal beside an unsigned value means its value.
  if constexpr (std::integral<A> && std::integral<B> && !std::is_same_v<A, bool> &&
                !std::is_same_v<B, bool>) {
    using Common = std::common_type_t<A, B>;
    return static_cast<Common>(a) == static_cast<Common>(b) && (a < A{}) == (b < B{});
  } else {
    return a == b;
  }
}

template <typename A, typename B>
bool check_eq(const A& a, const B& b, const char* text, const char* file, int line) {
  if (equal(a, b)) return true;
  report_failure(file, line, std::string(text) + ": " + show(a) + " != " + show(b));
  return false;
}

// A small generator with a seed of its own (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t bound) { return next() % bound; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  uint64_t state_;
};

}  // namespace dmiofs::test

#define TEST(suite, name)                                                                         \
  static void test_##suite##_##name();                                                            \
  static const ::dmiofs::test::Registration registration_##suite##_##name(#suite, #name,          \
                                                                          test_##suite##_##name); \
  static void test_##suite##_##name()

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) ::dmiofs::test::report_failure(__FILE__, __LINE__, #condition); \
  } while (0)
#define CHECK_EQ(a, b) ::dmiofs::test::check_eq((a), (b), #a " == " #b, __FILE__, __LINE__)
#define REQUIRE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      ::dmiofs::test::report_failure(__FILE__, __LINE__, #condition); \
      return;                                                         \
    }                                                                 \
  } while (0)
#define SKIP(reason)                   \
  do {                                 \
    ::dmiofs::test::skip_test(reason); \
    return;                            \
  } while (0)
