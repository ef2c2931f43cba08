/** A running mirror set: how it is opened, what can be asked of it, what it tells by itself (native/mirror/mirror_set.h). */
import type { RegionComparison } from './comparison.js';
import type { LegTotals, SetSnapshot, SyncMap } from './set-snapshot.js';

export type ReadPolicy = 'primary' | 'round-robin' | 'fastest';

export interface SetLegOptions {
  readonly device: string;
  readonly sector: number;
  /** A replacement: index of the leg whose place it takes when it is in-sync. */
  readonly replaces?: number;
}

export interface SetOptions {
  readonly name: string;
  /** Sectors. */
  readonly count: number;
  readonly legs: readonly SetLegOptions[];
  readonly readPolicy: ReadPolicy;
  /** Milliseconds; 0 = wait for ever. */
  readonly ioTimeoutMs: number;
  /** Repaired read errors that a leg may have had lately; 0 = no limit. */
  readonly readErrorLimit?: number;
  readonly readOnly: boolean;
  /** Sectors in a sync region, a power of two. */
  readonly syncRegionSectors: number;
  /** The dirty region log and record; without it nothing is kept over a restart. */
  readonly log?: SetLogOptions;
}

export interface SetLogOptions {
  readonly path: string;
  /** How many trusted in-sync legs are needed to start. */
  readonly start: 'any' | 'majority' | 'all';
}

export type SetEventKind = 'leg-failed' | 'degraded-at-start' | 'set-failed' | 'log-failed' | 'sync-needed';

export interface SetEvent {
  readonly kind: SetEventKind;
  /** -1: the set. */
  readonly leg: number;
  /** Positive errno, 0 = none. */
  readonly errno: number;
  readonly sector: number;
}

/** A running mirror set. Opened by openSet of binding.ts. */
export interface NativeSet {
  snapshot(): SetSnapshot;
  /** By leg. */
  statistics(): readonly LegTotals[];
  /** In at most `most` cells. */
  syncMap(most: number): SyncMap;
  /** Rejects with EINVAL (no such leg), EBUSY (the last in-sync leg), EALREADY, EIO (it could not be recorded). */
  failLeg(leg: number): Promise<void>;
  /** -1: all legs. */
  clearErrors(leg: number): Promise<void>;
  /**
   * A failed or missing leg comes back as rebuilding, its device opened again, or another one in its place. `full`: everything is
   * copied, not only what changed.
   */
  beginRebuild(
    leg: number,
    options:
      | { readonly full: boolean }
      | { readonly full: true; readonly device: string; readonly sector: number },
  ): Promise<void>;
  /** A leg more, the last one, rebuilding. Rejects with EEXIST, EALREADY, E2BIG, ENOSPC, EINVAL, ENXIO, EBUSY, EROFS, EIO. */
  addLeg(leg: SetLegOptions): Promise<void>;
  /** The legs above move down. Rejects with EBUSY (the last in-sync one), EALREADY (it is being replaced), EAGAIN, EIO. */
  removeLeg(leg: number): Promise<void>;
  /** What the set knows is on stable storage when it resolves; rejects with EIO, EROFS. */
  storeRecord(): Promise<void>;
  /** A replacement that is in-sync takes its place. Rejects with EAGAIN when it cannot yet, EINVAL, EIO. */
  promoteLeg(leg: number): Promise<void>;
  /** -1: none. */
  nextNotInSync(from: number): number;
  recoverSyncRegion(syncRegion: number): Promise<'copied' | 'skipped' | 'failed'>;
  /** Compares one sync region on all legs that hold it; `repair`: and makes them equal. native/mirror/mirror_set.h has the outcomes. */
  compareSyncRegion(syncRegion: number, repair: boolean): Promise<RegionComparison>;
  recoveryPossible(): boolean;
  rebuilding(): boolean;
  activity(): number;
  setSyncLimits(limits: {
    readonly paused: boolean;
    readonly speedMin: number;
    readonly speedMax: number;
  }): Promise<void>;
  /** Drains, flushes, closes the devices. Idempotent. */
  stop(): Promise<void>;
}
