#include "test/harness.h"

#include <unistd.h>

#include <string>

namespace dmiofs::test {

TEST(harness, equal_compares_values_not_types) {
  CHECK_EQ(uint64_t{5}, 5);
  CHECK_EQ(std::string("a"), "a");
  CHECK(!equal(-1, UINT64_MAX));
  CHECK(!equal(-1, UINT32_MAX));
}

TEST(harness, show_prints_bytes_as_numbers) {
  CHECK_EQ(show(static_cast<unsigned char>(65)), "65");
  CHECK_EQ(show(true), "true");
  struct Opaque {
    int a;
  };
  CHECK_EQ(show(Opaque{1}), "(a value of 4 bytes)");
}

TEST(harness, random_repeats_with_its_seed) {
  Random a(seed());
  Random b(seed());
  for (int i = 0; i < 100; i++) CHECK_EQ(a.next(), b.next());
  CHECK(Random(1).next() != Random(2).next());
}

TEST(harness, temp_dir_is_writable) { CHECK_EQ(access(temp_dir().c_str(), W_OK), 0); }

}  // namespace dmiofs::test
