// create_log: makes the log of a new set, or takes over the one of a kernel mirror. Never overwrites
// anything.
//
//     at the path                          create_log
//     -----------------------------------  ------------------------------------------------------------------
//     nothing                              a file of the full size, every block written, then given its name
//     a blank file or block device         laid out there
//     a kernel's dm-log without a record   taken over: its bits count, leg 0 is the source, as for the kernel
//     a log of dmiofs                      EEXIST
//     one that has lost its record         EUCLEAN: which leg is right cannot be told from it
//     anything else                        EINVAL, with what to do
//
// THREAD SAFETY: setup, one caller.
#pragma once

#include <string>

#include "mirror/log_format.h"

namespace dmiofs {

class DmIo;

struct CreateLogOptions {
  std::string path;
  sector_t count = 0;
  sector_t sync_region_sectors = 1024;
  std::vector<LegRecord> legs;  // identity, sector; the rest is filled in
  // The legs are equal. Else leg 0 is right and the others are to be copied from it: they start as
  // rebuilding, and are read only where copied.
  bool in_sync = false;
};

enum class LogCreation : uint8_t { kCreated, kAdopted };

Result<LogCreation> create_log(DmIo& dm_io, const CreateLogOptions& options);

// Replaces a log file by one for another number of sync regions, everything dirty, that holds `record` with
// the next generation: at every moment one of the two is whole under the path. On success `record` is what
// was stored.
Status relayout_log(DmIo& dm_io, const std::string& path, sector_t count, sector_t sync_region_sectors,
                    SetRecord* record);

}  // namespace dmiofs
