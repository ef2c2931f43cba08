/**
 * SyncTurns: when the next sync region may be taken: not in a pause, and not before the pace allows it. Each worker of the loop asks
 * before each sync region.
 *
 *     going --pause()--> paused --resume()--> going
 */
import type { SyncPacer } from './sync-pacer.js';

export interface SyncTurnsOptions {
  /** Counts I/O that users of the set have done. */
  readonly activity: () => number;
  /** Milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly paused: boolean;
}

export class SyncTurns {
  readonly #pacer: SyncPacer;
  readonly #options: SyncTurnsOptions;
  readonly #waiting = new Set<() => void>();
  #paused: boolean;

  constructor(pacer: SyncPacer, options: SyncTurnsOptions) {
    this.#pacer = pacer;
    this.#options = options;
    this.#paused = options.paused;
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.wake();
  }

  /** Those that wait in a pause look again whether what they wait for has ended. */
  wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Resolves when the caller may go on, or when it has `ended`. */
  async next(ended: () => boolean): Promise<void> {
    const { activity, now, sleep } = this.#options;
    while (!ended()) {
      if (this.#paused) {
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
        continue;
      }
      const time = now();
      this.#pacer.observeForeground(activity(), time);
      const delay = this.#pacer.delay(time);
      if (delay <= 0) return;
      await sleep(delay);
    }
  }
}
