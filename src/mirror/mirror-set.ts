/**
 * MirrorSet: a running set as the mount sees it: the native set, its sync action, its events.
 *
 *     open() -> running --stop()--> stopped
 */
import { constants } from 'node:os';
import { DmiofsError } from '../errors.js';
import type { NativeBinding } from '../native/binding.js';
import type { NativeSet, SetEvent, SetOptions } from '../native/set.js';
import type { LegTotals } from '../native/set-snapshot.js';
import type { MirrorEventKind, MirrorSetEvent, Standing } from './event.js';
import { errnoName, type SetStatus, setStatus } from './status.js';
import type { ScrubName } from './scrub.js';
import type { ScrubPage } from './scrub-schema.js';
import { type SyncMapText, syncMapText } from './sync-map.js';
import { ToldTroubles } from './told-troubles.js';
import { SyncAction } from './sync-action.js';
import { NativeSyncTarget } from './sync-target.js';
import { LegChanges } from './leg-changes.js';
import type { LegPlace, LegsKeeper } from './legs-keeper.js';
import { DEFAULT_SPEED_LIMITS, type SpeedLimits } from './sync-pacer.js';

/** Of the map of sync regions: so that it fits into an attribute's value. */
const MAP_CELLS = 4096;

export interface MirrorSetHooks {
  readonly onEvent: (event: MirrorSetEvent) => void;
  /** Something went wrong that nobody waits for. */
  readonly onProblem?: (set: string, message: string) => void;
  /** Where a change of the legs is written before it is made. */
  readonly keeper?: LegsKeeper;
}

export class MirrorSet {
  readonly name: string;
  readonly native: NativeSet;
  readonly #hooks: MirrorSetHooks;
  readonly #sync: SyncAction;
  readonly #changes: LegChanges;
  readonly #hasLog: boolean;
  readonly #told: ToldTroubles;

  private constructor(name: string, set: NativeSet, hasLog: boolean, hooks: MirrorSetHooks) {
    this.name = name;
    this.native = set;
    this.#hooks = hooks;
    this.#hasLog = hasLog;
    this.#told = new ToldTroubles(name);
    const kept = set.snapshot();
    const limits: SpeedLimits = kept.limitsSet
      ? { min: kept.speedMin, max: kept.speedMax }
      : DEFAULT_SPEED_LIMITS;
    this.#sync = new SyncAction(
      new NativeSyncTarget(set),
      {
        onStart: (action) => {
          this.#tell('resync-started', { action });
        },
        onFinish: (action, failed) => {
          this.#tell('resync-finished', { action, failed });
          this.#changes.settle();
        },
        onMismatch: (action, sectors, sector) => {
          this.#tell('mismatch', { action, failed: sectors, sector });
        },
      },
      { limits, paused: kept.paused },
    );
    this.#changes = new LegChanges(name, set, hooks.keeper, {
      syncNeeded: () => {
        this.#sync.start();
      },
      problem: (message) => hooks.onProblem?.(name, message),
      changed: (kind, leg, device) => {
        this.#tell(kind, { leg, device });
      },
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
      if (state !== 'in-sync') this.#tell('degraded-at-start', { leg });
    }
    this.#sync.start();
    this.#changes.resume();
  }

  status(): SetStatus {
    const mismatches = this.#sync.lastScrub()?.left ?? 0;
    return setStatus(this.native.snapshot(), this.#sync.state(), this.#hasLog, mismatches);
  }

  /** What each leg has done, and how long it took. */
  statistics(): readonly LegTotals[] {
    return this.native.statistics();
  }

  /** The states of the sync regions. */
  syncMap(): SyncMapText {
    return syncMapText(this.native.syncMap(MAP_CELLS), this.#sync.copying());
  }

  /** What is wrong and has been told; what has not will be. */
  standing(): readonly Standing[] {
    return this.#told.standing(this.native.snapshot());
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
    this.standing(); // forgets that it was told as failed: its next failure is another one
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

  /** Starts to compare the legs. Throws a DmiofsError while another sync action runs, or for a repair of a set that is read-only. */
  scrub(action: ScrubName): void {
    if (action === 'repair' && this.native.snapshot().readOnly) {
      throw new DmiofsError('ERR_DMIOFS_CONTROL', `repair: set ${this.name} is read-only`, {
        errno: constants.errno.EROFS,
      });
    }
    this.#sync.scrub(action);
  }

  endScrub(): void {
    this.#sync.endScrub();
  }

  /** What the running or last scrub since the mount has found, ranges from number `first` on; undefined: there was none. */
  scrubPage(first: number): ScrubPage | undefined {
    return this.#sync.lastScrub()?.page(this.name, first);
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

  #tell(
    kind: MirrorEventKind,
    more: Partial<Pick<MirrorSetEvent, 'leg' | 'device' | 'errno' | 'sector' | 'action' | 'failed'>>,
  ): void {
    const leg = more.leg ?? null;
    const at = leg === null ? undefined : this.native.snapshot().legs[leg];
    const device = at?.device ?? null;
    this.#told.tell(kind, at);
    this.#hooks.onEvent({
      kind,
      set: this.name,
      leg,
      device,
      errno: null,
      sector: null,
      action: null,
      failed: null,
      ...more,
    });
  }

  #onNative(event: SetEvent): void {
    const errno = event.errno === 0 ? null : errnoName(event.errno);
    switch (event.kind) {
      case 'leg-failed':
        this.#tell('leg-failed', { leg: event.leg, errno, sector: event.sector });
        break;
      case 'set-failed':
      case 'log-failed':
        this.#tell(event.kind, { errno });
        break;
      case 'sync-needed':
        this.#sync.start();
        break;
      case 'degraded-at-start':
        break; // told from here
      default:
        event.kind satisfies never;
    }
  }
}
