/**
 * LegChanges: legs come to a running set, leave it, or are replaced; each change is written to where the set is defined (the config)
 * before the set is changed, and taken back there when the set refuses.
 *
 * A replacement of an in-sync leg is a leg more until it is in-sync itself: the old one serves until then. When the program ends
 * between any two steps, the next start finds each leg by the identity of its device (native/mirror/leg_match.h) and goes on.
 */
import { DmiofsError, messageOf } from '../errors.js';
import { isNativeError } from '../native/error.js';
import type { NativeSet } from '../native/set.js';
import type { LegSnapshot } from '../native/set-snapshot.js';
import {
  definedIndex,
  type LegChange,
  type LegPlace,
  type LegsKeeper,
  runningIndex,
  runningLegs,
} from './legs-keeper.js';

export type LegChangeEvent = 'leg-added' | 'leg-removed' | 'leg-replaced';

export interface LegChangesHooks {
  /** There may be something to copy. */
  readonly syncNeeded: () => void;
  /** Something that nobody waits for went wrong. */
  readonly problem: (message: string) => void;
  /** A change has been made. `leg`: its index afterwards; of one that has left, its last. */
  readonly changed: (kind: LegChangeEvent, leg: number, device: string) => void;
}

const MOST_LEGS = 64;

export class LegChanges {
  readonly #name: string;
  readonly #set: NativeSet;
  readonly #keeper: LegsKeeper | undefined;
  readonly #hooks: LegChangesHooks;
  /** One change at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string, set: NativeSet, keeper: LegsKeeper | undefined, hooks: LegChangesHooks) {
    this.#name = name;
    this.#set = set;
    this.#keeper = keeper;
    this.#hooks = hooks;
  }

  /** A leg more, which everything is copied to. */
  add(place: LegPlace): Promise<void> {
    return this.#inTurn(() =>
      this.#change({ kind: 'add', ...place }, (device) => this.#set.addLeg({ ...place, device })),
    );
  }

  /** A leg goes for good; of a replacement: the replacement is given up. */
  remove(leg: number): Promise<void> {
    return this.#inTurn(() => {
      const { legs, at } = this.#leg(leg);
      const change: LegChange =
        at.replaces >= 0
          ? { kind: 'give-up', leg: definedIndex(legs, at.replaces) }
          : { kind: 'remove', leg: definedIndex(legs, leg) };
      return this.#change(change, () => this.#set.removeLeg(leg));
    });
  }

  /** Another device for a leg: beside the old one until it is in sync where the old one is good, else in its place at once. */
  replace(leg: number, place: LegPlace): Promise<void> {
    return this.#inTurn(async () => {
      const { legs, at } = this.#leg(leg);
      if (at.replaces >= 0) throw this.#refuse(`leg ${String(leg)} is a replacement itself: remove it first`);
      const coming = legs.findIndex(({ replaces }) => replaces === leg);
      if (coming >= 0) {
        throw this.#refuse(
          `leg ${String(leg)} is being replaced by leg ${String(coming)}: remove ${String(coming)} gives that up`,
        );
      }
      const index = definedIndex(legs, leg);
      if (at.state === 'in-sync' && legs.length < MOST_LEGS) {
        await this.#change({ kind: 'replace', leg: index, ...place }, (device) =>
          this.#set.addLeg({ ...place, device, replaces: leg }),
        );
        return;
      }
      await this.#change({ kind: 'place', leg: index, ...place }, async (device) => {
        if (at.state === 'in-sync' || at.state === 'rebuilding') await this.#set.failLeg(leg);
        await this.#set.beginRebuild(leg, { full: true, ...place, device });
      });
    });
  }

  /** Takes up what was left: replacements that were never begun, and those that are in sync. */
  resume(): void {
    for (const [leg, { replaces, state, lastErrno }] of this.#set.snapshot().legs.entries()) {
      if (replaces < 0 || state !== 'failed' || lastErrno !== 0) continue;
      void this.#inTurn(() => this.#set.beginRebuild(leg, { full: true })).then(
        this.#hooks.syncNeeded,
        (error: unknown) => {
          this.#hooks.problem(`the replacement ${String(leg)} cannot go on: ${messageOf(error)}`);
        },
      );
    }
    this.settle();
  }

  /** Replacements that are in sync take their places. */
  settle(): void {
    void this.#inTurn(async () => {
      for (;;) {
        const { legs } = this.#set.snapshot();
        const ready = legs.findIndex(({ replaces, state }) => replaces >= 0 && state === 'in-sync');
        const at = legs[ready];
        if (at === undefined) return;
        // The config must not name a device alone that the record does not trust yet.
        await this.#set.storeRecord();
        await this.#change({ kind: 'promote', leg: definedIndex(legs, at.replaces) }, () =>
          this.#set.promoteLeg(ready),
        );
      }
    }).catch((error: unknown) => {
      // Not yet: when what is not in sync now has been copied.
      if (isNativeError(error) && error.code === 'EAGAIN') return;
      this.#hooks.problem(
        `a replacement is in sync, but cannot take its place; both devices are served: ${messageOf(error)}`,
      );
    });
  }

  /** Resolves when no change is under way. */
  async stop(): Promise<void> {
    await this.#last.catch(() => undefined);
  }

  async #change(change: LegChange, run: (device: string) => Promise<void>): Promise<void> {
    const { count, legs, readOnly } = this.#set.snapshot();
    if (readOnly) throw this.#refuse('it is read-only');
    const prepared = this.#keeper?.prepare(this.#name, runningLegs(count, legs), change);
    const undo = prepared?.commit();
    try {
      await run(prepared?.device ?? ('device' in change ? change.device : ''));
      this.#tell(change, legs);
    } catch (error) {
      undo?.();
      throw error;
    } finally {
      // Also after a refusal: what was marked to be copied must be.
      this.#hooks.syncNeeded();
    }
  }

  #tell(change: LegChange, before: readonly LegSnapshot[]): void {
    const after = this.#set.snapshot().legs;
    const told = (kind: LegChangeEvent, legs: readonly LegSnapshot[], leg: number): void => {
      this.#hooks.changed(kind, leg, legs[leg]?.device ?? '');
    };
    switch (change.kind) {
      case 'add':
      case 'replace':
        told('leg-added', after, after.length - 1);
        break;
      case 'remove':
        told('leg-removed', before, runningIndex(before, change.leg));
        break;
      case 'give-up':
        told(
          'leg-removed',
          before,
          before.findIndex(({ replaces }) => replaces === runningIndex(before, change.leg)),
        );
        break;
      case 'place':
      case 'promote':
        told('leg-replaced', after, runningIndex(after, change.leg));
        break;
      default:
        change satisfies never;
    }
  }

  #leg(leg: number): { legs: readonly LegSnapshot[]; at: LegSnapshot } {
    const { legs } = this.#set.snapshot();
    const at = legs[leg];
    if (at === undefined)
      throw this.#refuse(`there is no leg ${String(leg)}: it has 0 to ${String(legs.length - 1)}`);
    return { legs, at };
  }

  #refuse(why: string): DmiofsError {
    return new DmiofsError('ERR_DMIOFS_CONTROL', `set ${this.#name}: ${why}`);
  }

  #inTurn<T>(run: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(run, run);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
