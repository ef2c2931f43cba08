/**
 * How fast a sync action may go: between a minimum and a maximum rate, and down to the minimum while users of the set do I/O.
 *
 * As md's `sync_speed_min` and `sync_speed_max` (md_do_sync): below the minimum nothing holds the action back; above it, it gives way
 * as long as other I/O was seen lately; the maximum always holds.
 */

/** Bytes a second; `max` 0 = no limit. */
export interface SpeedLimits {
  readonly min: number;
  readonly max: number;
}

export const DEFAULT_SPEED_LIMITS: SpeedLimits = { min: 4 * 1024 * 1024, max: 0 };

/** Rates are judged over this long, in milliseconds. */
const WINDOW_MS = 2000;
/** Other I/O counts as going on for this long after it was last seen, in milliseconds. */
const FOREGROUND_MS = 60;
/** The longest single delay, so that a change of limits or the end of other I/O is noticed soon. */
const LONGEST_DELAY_MS = 50;

interface Mark {
  readonly time: number;
  readonly bytes: number;
}

export class SyncPacer {
  #limits: SpeedLimits;
  readonly #marks: Mark[] = [];
  #total = 0;
  #lastActivity: number | undefined;
  #lastForeground = Number.NEGATIVE_INFINITY;

  constructor(limits: SpeedLimits = DEFAULT_SPEED_LIMITS) {
    this.#limits = limits;
  }

  get limits(): SpeedLimits {
    return this.#limits;
  }

  setLimits(limits: SpeedLimits): void {
    this.#limits = limits;
  }

  /** Tells the pacer the count of I/O that users of the set have done so far; a change means they are active. */
  observeForeground(count: number, now: number): void {
    if (this.#lastActivity !== undefined && count !== this.#lastActivity) this.#lastForeground = now;
    this.#lastActivity = count;
  }

  /** Tells the pacer that the action has moved `bytes`. */
  moved(bytes: number, now: number): void {
    this.#total += bytes;
    this.#marks.push({ time: now, bytes: this.#total });
    const oldest = now - WINDOW_MS;
    while (this.#marks.length > 2 && (this.#marks[1]?.time ?? now) < oldest) this.#marks.shift();
  }

  /** Bytes a second over the last two seconds; 0 before the second mark. */
  speed(now: number): number {
    const first = this.#marks[0];
    if (first === undefined || now <= first.time) return 0;
    return ((this.#total - first.bytes) * 1000) / (now - first.time);
  }

  /** Milliseconds to wait before the next piece, 0 = go on; ask again after that time. */
  delay(now: number): number {
    const allowed = this.#allowed(now);
    if (allowed === Number.POSITIVE_INFINITY) return 0;
    const first = this.#marks[0];
    if (first === undefined) return 0;
    // When the rate over the window will have come down to what is allowed.
    const due = first.time + ((this.#total - first.bytes) * 1000) / allowed;
    return Math.max(0, Math.min(LONGEST_DELAY_MS, due - now));
  }

  #allowed(now: number): number {
    const max = this.#limits.max === 0 ? Number.POSITIVE_INFINITY : this.#limits.max;
    if (now - this.#lastForeground > FOREGROUND_MS) return max;
    return Math.min(max, Math.max(this.#limits.min, 1));
  }
}
