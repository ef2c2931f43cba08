// The name of an errno: 5 -> "EIO".
#pragma once

#include <string>

namespace dmiofs {

// "E<number>" for one that the C library has no name for. `err` is positive.
std::string errno_name(int err);

}  // namespace dmiofs
