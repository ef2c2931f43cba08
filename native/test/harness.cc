#include "test/harness.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace dmiofs::test {
namespace {

// A sanitizer reports a crash itself, and better.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct TestCase {
  std::string name;  // "suite.name"
  TestFn fn;
};

struct Options {
  std::string filter;
  uint64_t seed = 1;
  unsigned rounds_factor = 1;
  unsigned watchdog_seconds = 60;
  bool list = false;
  bool verbose = false;
};

struct Tally {
  unsigned passed = 0;
  unsigned failed = 0;
  unsigned skipped = 0;
};

// One run a process: what a signal handler must reach lives here.
Options g_options;
Tally g_tally;
std::atomic<unsigned> g_failures{0};
bool g_skipped = false;
char g_running[256] = "";
std::string g_temp_dir;

std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;  // made at first use: registrations run before main, in any order
  return tests;
}

// Says which test it was, with the sum so far: runs in a signal handler, so only snprintf into a local buffer
// and write.
void end_run_in_handler(const char* what) {
  char text[512];
  const int length = std::snprintf(
      text, sizeof text, "FAIL %s: %s (--seed=%llu)\n%u passed, %u failed, %u skipped\n", g_running, what,
      static_cast<unsigned long long>(g_options.seed), g_tally.passed, g_tally.failed + 1, g_tally.skipped);
  (void)!write(STDOUT_FILENO, text, static_cast<size_t>(length));
}

void on_alarm(int) {
  end_run_in_handler("hung: stopped by the watchdog");
  signal(SIGABRT, SIG_DFL);
  abort();  // a core dump shows where each thread stood
}

void on_crash(int number) {
  end_run_in_handler(number == SIGABRT ? "aborted" : "crashed");
  signal(number, SIG_DFL);
  raise(number);
}

void quiet_sink(LogLevel, const std::string&, void*) {}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool parse_number(std::string_view arg, std::string_view name, uint64_t* value) {
  if (!starts_with(arg, name)) return false;
  char* end = nullptr;
  const std::string digits(arg.substr(name.size()));
  *value = std::strtoull(digits.c_str(), &end, 0);
  if (digits.empty() || *end != '\0') {
    std::fprintf(stderr, "%s is not a number\n", std::string(arg).c_str());
    std::exit(2);
  }
  return true;
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string_view arg = argv[i];
    uint64_t number = 0;
    if (arg == "--list") {
      options.list = true;
    } else if (arg == "--verbose") {
      options.verbose = true;
    } else if (parse_number(arg, "--seed=", &number)) {
      options.seed = number;
    } else if (parse_number(arg, "--rounds-factor=", &number)) {
      options.rounds_factor = static_cast<unsigned>(number);
    } else if (parse_number(arg, "--watchdog=", &number)) {
      options.watchdog_seconds = static_cast<unsigned>(number);
    } else if (starts_with(arg, "-")) {
      std::fprintf(
          stderr,
          "unknown option %s\nusage: dmiofs_native_test [PART-OF-A-NAME] [--list] [--verbose] [--seed=N] "
          "[--rounds-factor=N] [--watchdog=SECONDS]\n",
          argv[i]);
      std::exit(2);
    } else {
      options.filter = arg;
    }
  }
  return options;
}

void run_test(const TestCase& test) {
  std::snprintf(g_running, sizeof g_running, "%s", test.name.c_str());
  if (g_options.verbose) std::printf("RUN  %s\n", g_running);
  std::fflush(stdout);
  g_failures = 0;
  g_skipped = false;
  const nanos_t start = now_nanos();
  alarm(g_options.watchdog_seconds);
  test.fn();
  alarm(0);
  const double seconds = static_cast<double>(now_nanos() - start) / static_cast<double>(kNanosPerSecond);
  if (g_failures > 0) {
    g_tally.failed++;
    std::printf("FAIL %s\n", g_running);
  } else if (g_skipped) {
    g_tally.skipped++;
  } else {
    g_tally.passed++;
    if (g_options.verbose || seconds >= 1.0) std::printf("ok   %s %.1f s\n", g_running, seconds);
  }
}

int run(int argc, char** argv) {
  g_options = parse_options(argc, argv);
  if (g_options.list) {
    for (const TestCase& test : registry()) std::printf("%s\n", test.name.c_str());
    return 0;
  }
  const char* base = std::getenv("DMIOFS_TEST_TMP");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/dmiofs-native-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror(pattern.c_str());
    return 2;
  }
  g_temp_dir = pattern;
  signal(SIGALRM, on_alarm);
  signal(SIGPIPE, SIG_IGN);
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    if (!kSanitized) signal(number, on_crash);
  }
  if (!g_options.verbose) set_log_sink(quiet_sink, nullptr);

  for (const TestCase& test : registry()) {
    if (test.name.find(g_options.filter) != std::string::npos) run_test(test);
  }
  std::error_code ignored;
  std::filesystem::remove_all(g_temp_dir, ignored);
  std::printf("%u passed, %u failed, %u skipped\n", g_tally.passed, g_tally.failed, g_tally.skipped);
  if (g_tally.passed + g_tally.failed + g_tally.skipped == 0)
    std::printf("no test has '%s' in its name\n", g_options.filter.c_str());
  return g_tally.failed > 0 || g_tally.passed + g_tally.skipped == 0 ? 1 : 0;
}

}  // namespace

Registration::Registration(const char* suite, const char* name, TestFn fn) {
  registry().push_back({std::string(suite) + "." + name, fn});
}

void report_failure(const char* file, int line, const std::string& what) {
  g_failures++;
  std::printf("  %s:%d: %s (%s, --seed=%llu)\n", file, line, what.c_str(), g_running,
              static_cast<unsigned long long>(g_options.seed));
  std::fflush(stdout);
}

void skip_test(const std::string& reason) {
  g_skipped = true;
  std::printf("SKIP %s: %s\n", g_running, reason.c_str());
}

uint64_t seed() { return g_options.seed; }
unsigned rounds(unsigned normal) { return normal * g_options.rounds_factor; }
const std::string& temp_dir() { return g_temp_dir; }

}  // namespace dmiofs::test

int main(int argc, char** argv) { return dmiofs::test::run(argc, argv); }
