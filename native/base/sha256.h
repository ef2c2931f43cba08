// SHA-256 (FIPS 180-4), in pieces: what a scrub names the content of a range by, so that sha256sum(1) finds the same.
//
// THREAD SAFETY: a value; one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dmiofs {

class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;

  void update(std::span<const uint8_t> data);
  Digest digest() const;  // of all that was given so far; more may follow

 private:
  void block(const uint8_t* data);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> rest_{};
  uint64_t length_ = 0;  // bytes so far
};

std::string hex(const Sha256::Digest& digest);

}  // namespace dmiofs
