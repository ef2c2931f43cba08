/**
 * MirrorSet: a running set as the mount sees it: the native set, its sync action, its events.
 *
 *     open() -> running --stop()--> stopped
 */
import type { NativeBinding, NativeSet, SetEvent, SetOptions } from '../native/binding.js';
import { type SetStatus, setStatus } from './status.js';
import { type RegionOutcome, SyncAction, type SyncActionName, type SyncTarget } from './sync-action.js';
import { LegChanges, type LegPlace, type LegsKeeper } from './leg-changes.js';
import { DEFAULT_SPEED_LIMITS, type SpeedLimits } from './sync-pacer.js';

export type MirrorSetEvent =
  | {
      readonly kind: 'leg-failed';
      readonly set: string;
      readonly leg: number;
      readonly errno: number;
      readonly sector: number;
    }
  | { readonly kind: 'degraded-at-start'; readonly set: string; readonly leg: number }
  | {
      readonly kind: 'resync-started' | 'resync-finished';
      readonly set: string;
      readonly action: SyncActionName;
      readonly failed: number;
    }
  | { readonly kind: 'set-failed' | 'mismatch' | 'log-failed'; readonly set: string; readonly errno: number };

export interface MirrorSetHooks {
  readonly onEvent: (event: MirrorSetEvent) => void;
  /** Something went wrong that nobody waits for. */
  readonly onProblem?: (set: string, message: string) => void;
  /** Where a change of the legs is written before it is made. */
  readonly keeper?: LegsKeeper;
}

class NativeTarget implements SyncTarget {
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

export class MirrorSet {
  readonly name: string;
  readonly native: NativeSet;
  readonly #hooks: MirrorSetHooks;
  readonly #sync: SyncAction;
  readonly #changes: LegChanges;
  readonly #hasLog: boolean;

  private constructor(name: string, set: NativeSet, hasLog: boolean, hooks: MirrorSetHooks) {
    this.name = name;
    this.native = set;
    this.#hooks = hooks;
    this.#hasLog = hasLog;
    const kept = set.snapshot();
    const limits: SpeedLimits =
      kept.speedMin === 0 && kept.speedMax === 0
        ? DEFAULT_SPEED_LIMITS
        : { min: kept.speedMin, max: kept.speedMax };
    this.#sync = new SyncAction(
      new NativeTarget(set),
      {
        onStart: (action) => {
          this.#hooks.onEvent({ kind: 'resync-started', set: name, action, failed: 0 });
        },
        onFinish: (action, failed) => {
          this.#hooks.onEvent({ kind: 'resync-finished', set: name, action, failed });
          this.#changes.settle();
        },
      },
      { limits, paused: kept.paused },
    );
    this.#changes = new LegChanges(name, set, hooks.keeper, {
      syncNeeded: () => {
        this.#sync.start();
      },
      problem: (message) => hooks.onProblem?.(name, message),
    });
  }

  /** Opens the devices and starts the set. Throws a NativeError that names the device or the reason. */
  static open(binding: NativeBinding, options: SetOptions, hooks: MirrorSetHooks): MirrorSet {
    // Events come by a later turn of the loop: never before this has returned.
    const set = binding.openSet(options, (event) => {
      opened.#onNative(event);
    });
    const opened = new MirrorSet(options.name, set, options.log !== undefined, hooks);
    return opened;
  }

  /** Starts what was left to copy, and tells what was wrong at the start. */
  begin(): void {
    for (const [leg, { state }] of this.native.snapshot().legs.entries()) {
      if (state !== 'in-sync') this.#hooks.onEvent({ kind: 'degraded-at-start', set: this.name, leg });
    }
    this.#sync.start();
    this.#changes.resume();
  }

  status(): SetStatus {
    return setStatus(this.native.snapshot(), this.#sync.state(), this.#hasLog);
  }

  failLeg(leg: number): Promise<void> {
    return this.native.failLeg(leg);
  }

  clearErrors(leg: number): Promise<void> {
    return this.native.clearErrors(leg);
  }

  /** Takes a failed or missing leg back; what changed meanwhile is copied. */
  async reAddLeg(leg: number): Promise<void> {
    await this.native.beginRebuild(leg, { full: false });
    this.#sync.start();
  }

  /** A leg more; resolves when it is one, rebuilding, and that will last. */
  addLeg(place: LegPlace): Promise<void> {
    return this.#changes.add(place);
  }

  removeLeg(leg: number): Promise<void> {
    return this.#changes.remove(leg);
  }

  /** Resolves when the rebuild has begun. */
  replaceLeg(leg: number, place: LegPlace): Promise<void> {
    return this.#changes.replace(leg, place);
  }

  async pause(): Promise<void> {
    this.#sync.pause();
    await this.#keepLimits();
  }

  async resume(): Promise<void> {
    this.#sync.resume();
    this.#changes.settle();
    await this.#keepLimits();
  }

  async setSpeed(limits: SpeedLimits): Promise<void> {
    this.#sync.setLimits(limits);
    await this.#keepLimits();
  }

  get speedLimits(): SpeedLimits {
    return this.#sync.state().limits;
  }

  async stop(): Promise<void> {
    await this.#sync.stop();
    await this.#changes.stop();
    await this.native.stop();
  }

  #keepLimits(): Promise<void> {
    const { limits, paused } = this.#sync.state();
    return this.native.setSyncLimits({ paused, speedMin: limits.min, speedMax: limits.max });
  }

  #onNative(event: SetEvent): void {
    const set = this.name;
    switch (event.kind) {
      case 'leg-failed':
        this.#hooks.onEvent({
          kind: 'leg-failed',
          set,
          leg: event.leg,
          errno: event.errno,
          sector: event.sector,
        });
        break;
      case 'set-failed':
      case 'log-failed':
      case 'mismatch':
        this.#hooks.onEvent({ kind: event.kind, set, errno: event.errno });
        break;
      case 'sync-needed':
        this.#sync.start();
        break;
      case 'degraded-at-start':
      case 'resync-started':
      case 'resync-finished':
        break; // told from here
      default:
        event.kind satisfies never;
    }
  }
}
