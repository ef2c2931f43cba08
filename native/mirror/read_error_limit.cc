#include "mirror/read_error_limit.h"

#include <cmath>

namespace dmiofs {

double ReadErrorLimit::errors(nanos_t now) const {
  return errors_ * std::exp2(-static_cast<double>(now - since_) / static_cast<double>(kHalfLife));
}

bool ReadErrorLimit::add(nanos_t now, unsigned limit) {
  errors_ = errors(now) + 1;
  since_ = now;
  return limit != 0 && errors_ > limit;
}

}  // namespace dmiofs
