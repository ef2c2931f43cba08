/** SyncTarget: a mirror set as the loop that brings it in sync, or compares its legs, sees it. */
import type { RegionComparison } from '../native/comparison.js';
import type { NativeSet } from '../native/set.js';

/** What became of one sync region. */
export type RegionOutcome =
  /** It is in sync now. */
  | 'copied'
  /** Someone else brought it in sync meanwhile. */
  | 'skipped'
  /** No good leg could be read, or no leg was left to copy to: it stays not in sync. */
  | 'failed';

/** What the loop needs of a mirror set. */
export interface SyncTarget {
  readonly syncRegionBytes: number;
  /** The first sync region at or after `from` that is not in sync; -1: none. */
  nextNotInSync(from: number): number;
  /** Copies one sync region from the source leg to the others; resolves when its outcome is on stable storage. */
  recoverRegion(syncRegion: number): Promise<RegionOutcome>;
  /** Compares one sync region on all legs; resolves when it is done. */
  compareRegion(syncRegion: number, repair: boolean): Promise<RegionComparison>;
  /** Whether at least two legs are in use. */
  comparable(): boolean;
  /** Sync regions in sync, and of how many. */
  progress(): { readonly inSync: number; readonly total: number };
  /** Whether a leg is rebuilding: then the action is called `recover`, else `resync`. */
  rebuilding(): boolean;
  /** Whether there is a leg to copy from and one to copy to. */
  possible(): boolean;
  /** Counts I/O that users have done; only its changes matter. */
  activity(): number;
}

/** A native set as the loop sees it. */
export class NativeSyncTarget implements SyncTarget {
  readonly #set: NativeSet;
  readonly syncRegionBytes: number;

  constructor(set: NativeSet) {
    this.#set = set;
    this.syncRegionBytes = set.snapshot().syncRegionSectors * 512;
  }
  nextNotInSync(from: number): number {
    return this.#set.nextNotInSync(from);
  }
  recoverRegion(syncRegion: number): Promise<RegionOutcome> {
    return this.#set.recoverSyncRegion(syncRegion);
  }
  compareRegion(syncRegion: number, repair: boolean): Promise<RegionComparison> {
    return this.#set.compareSyncRegion(syncRegion, repair);
  }
  comparable(): boolean {
    const inUse = this.#set
      .snapshot()
      .legs.filter(({ state }) => state === 'in-sync' || state === 'rebuilding');
    return inUse.length > 1;
  }
  progress(): { readonly inSync: number; readonly total: number } {
    const set = this.#set.snapshot();
    return { inSync: set.inSyncRegions, total: set.syncRegions };
  }
  rebuilding(): boolean {
    return this.#set.rebuilding();
  }
  possible(): boolean {
    return this.#set.recoveryPossible();
  }
  activity(): number {
    return this.#set.activity();
  }
}
