/** Logs as they are made and looked at (native/mirror/log_create.h, log_inspect.h). */
import type { SetLegOptions } from './set.js';
import type { LegState } from './set-snapshot.js';

export interface CreateLogOptions {
  readonly path: string;
  /** Sectors in the set. */
  readonly count: number;
  /** Sectors in a sync region, a power of two. */
  readonly syncRegionSectors: number;
  /** By index; the devices exist. */
  readonly legs: readonly SetLegOptions[];
  /** The legs are equal; else leg 0 is right and the others are copied from it. */
  readonly inSync: boolean;
}

/** `adopted`: it was the log of a kernel mirror; its bits count, leg 0 is the source. */
export type LogCreation = 'created' | 'adopted';

/** A leg as the set's record has it. */
export interface LegInspection {
  readonly uuid: string;
  readonly state: LegState;
  readonly kind: 'block' | 'file';
  readonly dev: string;
  readonly inode: string;
  readonly serial: string;
  readonly sector: number;
  readonly count: number;
  /** Of the record in which it stopped being in-sync; 0 = it has not. */
  readonly leftGeneration: number;
  /** Bit mask: 1 read, 2 write, 4 flush, 8 resync. */
  readonly errorKinds: number;
}

export interface RecordInspection {
  readonly uuid: string;
  readonly generation: number;
  readonly clean: boolean;
  readonly startCount: number;
  readonly count: number;
  readonly syncRegionSectors: number;
  readonly legs: readonly LegInspection[];
}

export interface LogInspection {
  readonly sizeBytes: number;
  /** Of the kernel's part. */
  readonly header: 'valid' | 'blank' | 'not a log' | 'unknown version';
  readonly version: number;
  /** In decimal: LVM writes 2^64 - 1. */
  readonly nrRegions: string;
  /** Sync regions that are dirty, of the first nrRegions. */
  readonly dirty: number;
  /** UUID of the set whose log it is; null: a kernel's. */
  readonly owner: string | null;
  /** The newest valid one. */
  readonly record: RecordInspection | null;
  /** Why there is no record; empty when there is one. */
  readonly problem: string;
}
