// Who a device is: what tells it from another one that shows up under the same name.
//
// File: st_dev and st_ino. Block device: the first of dm uuid, loop backing file, wwid, serial that sysfs
// knows, with the partition's PARTUUID or number; where sysfs knows none, the device number, which is then
// all there is.
#pragma once

#include <sys/stat.h>

#include "device/device.h"

namespace dmiofs {

DeviceIdentity identify_device(const struct stat& st);

}  // namespace dmiofs
