/**
 * A mirror set's figures at one moment: its legs, its sync regions, what was done for users and how long it took
 * (native/mirror/mirror_set.h, leg_statistics.h, sync_map.h).
 */

export type LegState = 'in-sync' | 'rebuilding' | 'failed' | 'missing';

export type SetState = 'complete' | 'degraded' | 'failed';

export interface LegSnapshot {
  readonly device: string;
  readonly sector: number;
  readonly count: number;
  readonly state: LegState;
  /** A replacement: index of the leg whose place it takes when it is in-sync; -1: a leg. */
  readonly replaces: number;
  /** I/O that outlived its deadline, which its device has not ended yet. */
  readonly lateIos: number;
  /** One dm-mirror health character: A a D F S R U. */
  readonly health: string;
  readonly readErrors: number;
  readonly writeErrors: number;
  readonly flushErrors: number;
  readonly syncErrors: number;
  /** Positive errno, 0 = none yet. */
  readonly lastErrno: number;
  readonly lastErrorSector: number;
  /** Unix seconds. */
  readonly lastErrorTime: number;
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly repairedReads: number;
}

export interface SetSnapshot {
  readonly name: string;
  readonly count: number;
  readonly blockSize: number;
  readonly state: SetState;
  readonly readBits: bigint;
  readonly writeBits: bigint;
  readonly flushBits: bigint;
  readonly syncRegions: number;
  readonly inSyncRegions: number;
  readonly dirtySyncRegions: number;
  readonly syncRegionSectors: number;
  /** -1: none is left. */
  readonly readLeg: number;
  readonly readOnly: boolean;
  readonly logFailed: boolean;
  readonly generation: number;
  readonly lateIos: number;
  /** Operations of users under way. */
  readonly inFlight: number;
  /** Of the sync action, kept in the record; bytes a second, a speedMax of 0 = no limit. */
  readonly paused: boolean;
  /** false: the limits mean nothing yet. */
  readonly limitsSet: boolean;
  readonly speedMin: number;
  readonly speedMax: number;
  readonly legs: readonly LegSnapshot[];
}

/** What one leg did for users of the set, by operation. */
export interface OperationTotal {
  readonly bytes: number;
  /** Sum of what each took. */
  readonly seconds: number;
  /** Operations by what they took: {@link LATENCY_BOUNDS}; the last one has no bound. */
  readonly buckets: readonly number[];
}

export type LegOperation = 'read' | 'write' | 'flush' | 'zero';

export type LegTotals = Readonly<Record<LegOperation, OperationTotal>>;

/** Upper bounds of the latency buckets in seconds, but for the last (native/mirror/leg_statistics.h). */
export const LATENCY_BOUNDS: readonly number[] = Array.from({ length: 23 }, (_, k) => (8 * 2 ** k) / 1e6);

/** The states of a set's sync regions; neighbours share a cell, which shows the worst of them. */
export interface SyncMap {
  readonly syncRegions: number;
  /** Sync regions in each cell; the last cell may have fewer. */
  readonly perCell: number;
  /** 0 clean, 1 dirty, 2 not in sync. */
  readonly cells: Uint8Array;
}
