// open_log: what a set's start needs of its log, or why it cannot be trusted. Never a guess.
//
//     the log                                              open_log
//     ---------------------------------------------------  -------------------------------------------------
//     missing, blank, cut off, unreadable                  refused: nobody knows which leg holds what was
//                                                            acknowledged
//     no record; wrong CRC in both slots; slots of two     refused, the reason in the hint
//       sets; written by a newer dmiofs
//     header unreadable as a log, or nr_regions is not     all_dirty: every leg that the record trusts is still
//       what the record was written with                     trusted, everything is copied from one of them
//     made for another region size or set size             all_dirty, and the log is laid out anew (a block
//                                                            device whose record would have to move: refused)
//     stopped in order, but header or bits changed since   written_by_other: a kernel mirror has used legs and
//                                                            log
// The dirty bits count in all other cases.
//
// THREAD SAFETY: setup, one caller. OWNERSHIP: the result owns the opened device; the DmIo outlives it.
#pragma once

#include <memory>
#include <string>

#include "mirror/disk_log.h"
#include "mirror/record_store.h"

namespace dmiofs {

struct OpenLogOptions {
  std::string path;
  sector_t count = 0;  // of the set
  sector_t sync_region_sectors = 1024;
  nanos_t io_timeout = 0;
  bool writable = true;  // false: nothing is written, not even what a start repairs
};

struct OpenedLog {
  std::shared_ptr<DiskLog> log;
  std::shared_ptr<DiskRecordStore> record_store;
  SetRecord record;  // the newest durable one, with the geometry that was asked for
  bool all_dirty = false;
  // A kernel mirror (or an editor) changed the log after the set was stopped in order. The dirty bits count,
  // as they would for the kernel: those sync regions are copied from the source leg. A leg that was out of
  // the set has missed what was written then: it needs a full rebuild.
  bool written_by_other = false;
  std::string note;  // for people: why all_dirty or written_by_other; may be empty
};

Result<OpenedLog> open_log(DmIo& dm_io, const OpenLogOptions& options);

}  // namespace dmiofs
