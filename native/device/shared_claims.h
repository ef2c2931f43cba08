// Which devices and image files this process holds exclusively, so that several I/O regions of its mirror sets
// can lie on one of them: the first open takes the claim (O_EXCL, an OFD lock), the others share it.
//
// The kernel knows claims by open file, not by process: a second exclusive open of one's own device is EBUSY.
//
// THREAD SAFETY: thread-safe. LOCK ORDER: leaf; not held while a device is opened. OWNERSHIP: a claim lives as
// long as one of those that share it; the table does not keep it.
#pragma once

#include <sys/stat.h>

#include <memory>

#include "base/unique_fd.h"

namespace dmiofs {

struct DeviceClaim {
  std::shared_ptr<const UniqueFd> fd;  // null: none
  bool writable = false;               // of a file: its lock keeps readers out too
};

// The claim was just taken by an exclusive open.
void remember_claim(const struct stat& st, const DeviceClaim& claim);

// The claim that this process has on what `st` describes; without fd when it has none.
DeviceClaim find_claim(const struct stat& st);

}  // namespace dmiofs
