// The truncate rule: the size never changes, but what truncating promises about the content holds.
//
//     open with O_TRUNC                        the whole content is zeros (EPERM where the config denies it)
//     ftruncate(n) on such a descriptor        zeros from n on
//     truncate, ftruncate to the size itself   nothing
//     to a smaller one otherwise               EPERM
//     to a larger one                          EFBIG
//
// Answering 0 and doing nothing would be silent corruption: `cp sparse.img FILE` relies on O_TRUNC for its holes.
#pragma once

#include "fusemod/mount_context.h"

namespace dmiofs {

int zero_on_open(MountedFile* file);
void note_written(MountedFile* file, uint64_t end);  // after a write up to `end` bytes has succeeded

}  // namespace dmiofs
