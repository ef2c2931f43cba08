// What operations on data change of a file's attributes.
#pragma once

#include "fusemod/mount_context.h"

namespace dmiofs {

void touch_modified(MountedFile* file);  // mtime and ctime are now

}  // namespace dmiofs
