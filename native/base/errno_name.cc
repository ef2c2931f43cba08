#include "base/errno_name.h"

#include <cstring>

namespace dmiofs {

std::string errno_name(int err) {
  const char* name = strerrorname_np(err);
  return name != nullptr ? std::string(name) : "E" + std::to_string(err);
}

}  // namespace dmiofs
