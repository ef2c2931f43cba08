// Uuid: names sets and legs in records and logs.
//
// THREAD SAFETY: a value; the functions: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace dmiofs {

using Uuid = std::array<uint8_t, 16>;

// A random one (RFC 9562, version 4).
Uuid make_uuid();
std::string to_string(const Uuid& uuid);

}  // namespace dmiofs
