// Who a device is: what tells it from another one that shows up under the same name.
//
// File: its file system, inode number and creation time. The file system is told by what its UUID gives
// (statfs f_fsid of ext4, btrfs and f2fs, the geometry's UUID of XFS), since st_dev changes when devices are
// found in another order; on other file systems by st_dev, which is all there is. A file that was deleted and
// made anew, or put back from a copy, is another one.
//
// Block device, from /sys/dev/block/M:m: the first of dm/uuid, md/uuid, wwid, device/wwid, serial,
// device/serial, the loop device's backing file (a file's identity, as above) with its offset, dm/name. A
// partition: its disk's with the partition's number and start; where sysfs does not know the disk, PARTUUID.
// Where it knows nothing, the device number.
#pragma once

#include <sys/stat.h>

#include "device/device.h"

namespace dmiofs {

// `fd` is open for reading at least; `st` is its stat.
DeviceIdentity identify_device(int fd, const struct stat& st);

}  // namespace dmiofs
