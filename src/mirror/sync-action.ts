/**
 * SyncAction: the loop that brings sync regions in sync (dm-kcopyd's place in a kernel mirror), with its pace, progress and pauses.
 *
 * It decides which sync region is copied next, how many at once and how fast; the copy of one sync region is the mirror set's
 * (native/mirror/recovery.h), because it is held to the set's I/O deadline, which dm-io's services are not.
 *
 *     idle --start()--> resync | recover --all done, or nothing more can be done--> idle
 *                          |  ^
 *                    pause()  resume()
 *                          v  |
 *                         frozen
 */
import { DEFAULT_SPEED_LIMITS, type SpeedLimits, SyncPacer } from './sync-pacer.js';

export type SyncActionName = 'idle' | 'resync' | 'recover' | 'check' | 'repair' | 'frozen';

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
  /** Sync regions in sync, and of how many. */
  progress(): { readonly inSync: number; readonly total: number };
  /** Whether a leg is rebuilding: then the action is called `recover`, else `resync`. */
  rebuilding(): boolean;
  /** Whether there is a leg to copy from and one to copy to. */
  possible(): boolean;
  /** Counts I/O that users have done; only its changes matter. */
  activity(): number;
}

export interface SyncActionState {
  readonly action: SyncActionName;
  /** Sync regions in sync. */
  readonly done: number;
  readonly total: number;
  /** Bytes a second, lately. */
  readonly speed: number;
  /** Seconds; -1: not known. */
  readonly eta: number;
  readonly limits: SpeedLimits;
  readonly paused: boolean;
  /** Sync regions that the running or last action could not copy. */
  readonly failed: number;
}

export interface SyncActionHooks {
  readonly onStart: (action: SyncActionName) => void;
  readonly onFinish: (action: SyncActionName, failed: number) => void;
  /** The clock, in milliseconds, and a timer: so that tests need not wait. */
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Sync regions copied at the same time, as dm-kcopyd's sub-jobs. */
const IN_FLIGHT = 4;

export class SyncAction {
  readonly #target: SyncTarget;
  readonly #hooks: SyncActionHooks;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  readonly #pacer: SyncPacer;
  #name: SyncActionName = 'idle';
  #paused: boolean;
  #stopping = false;
  #failed = 0;
  #restart = false;
  #running: Promise<void> | undefined;
  readonly #copying = new Set<number>();
  readonly #waiting = new Set<() => void>();

  constructor(
    target: SyncTarget,
    hooks: SyncActionHooks,
    initial: { readonly limits?: SpeedLimits; readonly paused?: boolean } = {},
  ) {
    this.#target = target;
    this.#hooks = hooks;
    this.#now = hooks.now ?? (() => performance.now());
    this.#sleep = hooks.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    this.#pacer = new SyncPacer(initial.limits ?? DEFAULT_SPEED_LIMITS);
    this.#paused = initial.paused ?? false;
  }

  /** Starts the action when there is something to copy and somewhere to copy it; one that runs takes up what has been added. */
  start(): void {
    if (this.#stopping) return;
    if (this.#running !== undefined) {
      this.#restart = true;
      return;
    }
    if (!this.#target.possible() || this.#target.nextNotInSync(0) < 0) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#restart) {
        this.#restart = false;
        this.start();
      }
    });
  }

  pause(): void {
    this.#paused = true;
  }

  /** Goes on; sync regions that could not be copied are tried again. */
  resume(): void {
    this.#paused = false;
    this.#wakeAll();
    this.start();
  }

  setLimits(limits: SpeedLimits): void {
    this.#pacer.setLimits(limits);
  }

  state(): SyncActionState {
    const { inSync, total } = this.#target.progress();
    const running = this.#name !== 'idle';
    const speed = running && !this.#paused ? Math.round(this.#pacer.speed(this.#now())) : 0;
    const left = (total - inSync) * this.#target.syncRegionBytes;
    return {
      action: this.#paused && inSync < total ? 'frozen' : this.#name,
      done: inSync,
      total,
      speed,
      eta: running ? (speed > 0 ? Math.ceil(left / speed) : -1) : 0,
      limits: this.#pacer.limits,
      paused: this.#paused,
      failed: this.#failed,
    };
  }

  /** Sync regions that are being copied. */
  copying(): readonly number[] {
    return [...this.#copying];
  }

  /** Resolves when the copies under way have ended; none is started any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wakeAll();
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#name = this.#target.rebuilding() ? 'recover' : 'resync';
    const name = this.#name;
    this.#failed = 0;
    this.#hooks.onStart(name);
    let cursor = 0;
    const workers = Array.from({ length: IN_FLIGHT }, async () => {
      for (;;) {
        await this.#turn();
        if (this.#stopping) return;
        const syncRegion = this.#target.nextNotInSync(cursor);
        if (syncRegion < 0 || !this.#target.possible()) return;
        cursor = syncRegion + 1;
        await this.#copy(syncRegion);
      }
    });
    await Promise.all(workers);
    this.#name = 'idle';
    if (!this.#stopping) this.#hooks.onFinish(name, this.#failed);
  }

  async #copy(syncRegion: number): Promise<void> {
    this.#copying.add(syncRegion);
    const outcome = await this.#target.recoverRegion(syncRegion).finally(() => {
      this.#copying.delete(syncRegion);
    });
    switch (outcome) {
      case 'copied':
        this.#pacer.moved(this.#target.syncRegionBytes, this.#now());
        break;
      case 'failed':
        this.#failed += 1;
        break;
      case 'skipped':
        break;
      default:
        outcome satisfies never;
    }
  }

  /** Waits until the pace and a pause let the next copy start. */
  async #turn(): Promise<void> {
    while (!this.#stopping) {
      if (this.#paused) {
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
        continue;
      }
      const now = this.#now();
      this.#pacer.observeForeground(this.#target.activity(), now);
      const delay = this.#pacer.delay(now);
      if (delay <= 0) return;
      await this.#sleep(delay);
    }
  }

  #wakeAll(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
