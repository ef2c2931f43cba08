/**
 * SyncAction: the loop that brings sync regions in sync (dm-kcopyd's place in a kernel mirror), or compares them (a scrub), with its pace,
 * progress and pauses.
 *
 * It decides which sync region is copied next, how many at once and how fast; the copy of one sync region is the mirror set's
 * (native/mirror/recovery.cc), because it is held to the set's I/O deadline, which dm-io's services are not.
 *
 *     idle --start()--> resync | recover --all done, or nothing more can be done--> idle
 *                          |  ^
 *                    pause()  resume()
 *                          v  |
 *                         frozen
 *
 *     idle --scrub()--> check | repair --all compared, or endScrub()--> idle; pauses in the same way
 *
 * What is not in sync goes first: a scrub waits meanwhile and then goes on where it was.
 */
import { constants } from 'node:os';
import { DmiofsError } from '../errors.js';
import { Scrub, type ScrubName } from './scrub.js';
import { DEFAULT_SPEED_LIMITS, type SpeedLimits, SyncPacer } from './sync-pacer.js';
import type { SyncTarget } from './sync-target.js';
import { SyncTurns } from './sync-turns.js';

export type SyncActionName = 'idle' | 'resync' | 'recover' | 'check' | 'repair' | 'frozen';

export interface SyncActionState {
  readonly action: SyncActionName;
  /** Sync regions in sync; of a scrub: that it has done. */
  readonly done: number;
  readonly inSync: number;
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
  /** A scrub has found the first difference; and at its end all, when it has found more. */
  readonly onMismatch?: (action: ScrubName, sectors: number, sector: number | null) => void;
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
  readonly #pacer: SyncPacer;
  readonly #turns: SyncTurns;
  #name: SyncActionName = 'idle';
  #stopping = false;
  #failed = 0;
  #restart = false;
  #running: Promise<void> | undefined;
  #scrub: Scrub | undefined;
  /** Sectors of it that have been told of. */
  #told = 0;
  readonly #copying = new Set<number>();

  constructor(
    target: SyncTarget,
    hooks: SyncActionHooks,
    initial: { readonly limits?: SpeedLimits; readonly paused?: boolean } = {},
  ) {
    this.#target = target;
    this.#hooks = hooks;
    this.#now = hooks.now ?? (() => performance.now());
    this.#pacer = new SyncPacer(initial.limits ?? DEFAULT_SPEED_LIMITS);
    this.#turns = new SyncTurns(this.#pacer, {
      activity: () => target.activity(),
      now: this.#now,
      sleep: hooks.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
      paused: initial.paused ?? false,
    });
  }

  /** Starts the action when there is something to copy and somewhere to copy it; one that runs takes up what has been added. */
  start(): void {
    if (this.#stopping) return;
    if (this.#running !== undefined) {
      this.#restart = true;
      return;
    }
    if (!this.#recoverable() && this.#scrub?.running !== true) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#restart) {
        this.#restart = false;
        this.start();
      }
    });
  }

  /** Starts to compare the legs. Throws a DmiofsError (EBUSY) while something else runs. */
  scrub(action: ScrubName): void {
    if (this.#running !== undefined || this.#stopping) {
      throw new DmiofsError(
        'ERR_DMIOFS_CONTROL',
        `${action}: ${this.#name} runs: dmiofs wait, then try again`,
        {
          errno: constants.errno.EBUSY,
        },
      );
    }
    this.#told = 0;
    this.#scrub = new Scrub(action, (this.#scrub?.run ?? 0) + 1, this.#target.progress().total);
    this.start();
  }

  /** Ends the running scrub, if there is one; what it has found is kept. */
  endScrub(): void {
    this.#scrub?.end();
    this.#turns.wake();
  }

  /** The running or last scrub since the mount. */
  lastScrub(): Scrub | undefined {
    return this.#scrub;
  }

  pause(): void {
    this.#turns.pause();
  }

  /** Goes on; sync regions that could not be copied are tried again. */
  resume(): void {
    this.#turns.resume();
    this.start();
  }

  setLimits(limits: SpeedLimits): void {
    this.#pacer.setLimits(limits);
  }

  state(): SyncActionState {
    const { inSync, total } = this.#target.progress();
    const { paused } = this.#turns;
    const scrub = this.#scrub?.running === true ? this.#scrub : undefined;
    // Between a copy and the scrub that waited for it nothing is idle.
    const name = this.#name === 'idle' ? (scrub?.action ?? 'idle') : this.#name;
    const running = name !== 'idle';
    const done = scrub !== undefined && name === scrub.action ? scrub.done : inSync;
    const speed = running && !paused ? Math.round(this.#pacer.speed(this.#now())) : 0;
    const left = (total - done) * this.#target.syncRegionBytes;
    return {
      action: paused && (inSync < total || scrub !== undefined) ? 'frozen' : name,
      done,
      inSync,
      total,
      speed,
      eta: running ? (speed > 0 ? Math.ceil(left / speed) : -1) : 0,
      limits: this.#pacer.limits,
      paused,
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
    this.#turns.wake();
    await this.#running;
    this.#scrub?.end();
  }

  #recoverable(): boolean {
    return this.#target.possible() && this.#target.nextNotInSync(0) >= 0;
  }

  async #run(): Promise<void> {
    do {
      this.#restart = false;
      if (this.#recoverable()) await this.#recover();
      const scrub = this.#scrub;
      if (scrub?.running === true && !this.#stopping) await this.#compare(scrub);
    } while (this.#scrub?.running === true && !this.#stopping);
  }

  async #recover(): Promise<void> {
    this.#name = this.#target.rebuilding() ? 'recover' : 'resync';
    const name = this.#name;
    this.#failed = 0;
    this.#hooks.onStart(name);
    let cursor = 0;
    const workers = Array.from({ length: IN_FLIGHT }, async () => {
      for (;;) {
        await this.#turns.next(() => this.#stopping);
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

  /** Goes on with the scrub until it ends or something has to be copied first. */
  async #compare(scrub: Scrub): Promise<void> {
    this.#name = scrub.action;
    const workers = Array.from({ length: IN_FLIGHT }, async () => {
      for (;;) {
        await this.#turns.next(() => this.#stopping || !scrub.running);
        if (this.#stopping || !scrub.running || (this.#restart && this.#recoverable())) return;
        if (!this.#target.comparable()) scrub.skipRest();
        const syncRegion = scrub.take();
        if (syncRegion === undefined) return;
        const found = await this.#target.compareRegion(syncRegion, scrub.action === 'repair');
        const before = scrub.sectors;
        scrub.add(found);
        if (found.outcome === 'compared') this.#pacer.moved(this.#target.syncRegionBytes, this.#now());
        if (before === 0 && scrub.sectors > 0) this.#tellMismatch(scrub, found.ranges[0]?.sector ?? null);
      }
    });
    await Promise.all(workers);
    this.#name = 'idle';
    if (scrub.done >= scrub.total) scrub.end();
    if (!scrub.running && scrub.sectors > this.#told) this.#tellMismatch(scrub, null);
  }

  #tellMismatch(scrub: Scrub, sector: number | null): void {
    this.#told = scrub.sectors;
    this.#hooks.onMismatch?.(scrub.action, scrub.sectors, sector);
  }
}
