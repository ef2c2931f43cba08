/**
 * Scrub: one check or repair of a set: where it stands and what it has found. The loop is SyncAction's.
 *
 *     running --all sync regions done--> finished
 *        \------ends before that-------> stopped
 *
 * Memory is bounded: so many ranges are kept, all are counted.
 */
import type { DifferingRange, RegionComparison } from '../native/comparison.js';
import type { ScrubPage, ScrubRange, ScrubReport } from './scrub-schema.js';

export type ScrubName = ScrubReport['action'];

export const MOST_RANGES = 1000;
/** Characters of the ranges of one page: with the rest it fits into an attribute's value. */
const PAGE_CHARACTERS = 48 * 1024;
const HASH_DIGITS = 16;

function rangeOf({ sector, count, majority, repaired, legs }: DifferingRange): ScrubRange {
  const known = legs.some(({ right }) => right);
  return {
    sector,
    count,
    by: known ? (majority ? 'majority' : 'primary') : 'nobody',
    repaired,
    legs: legs.map(({ leg, sha256, right }) => ({ leg, hash: sha256.slice(0, HASH_DIGITS), right })),
  };
}

const unixSeconds = (): number => Math.floor(Date.now() / 1000);

export class Scrub {
  readonly action: ScrubName;
  readonly run: number;
  readonly total: number;
  readonly #started = unixSeconds();
  readonly #ranges: ScrubRange[] = [];
  #finished: number | null = null;
  #state: ScrubReport['state'] = 'running';
  #next = 0;
  #compared = 0;
  #skipped = 0;
  #failed = 0;
  #mismatches = 0;
  #sectors = 0;
  #repaired = 0;

  constructor(action: ScrubName, run: number, total: number) {
    this.action = action;
    this.run = run;
    this.total = total;
  }

  get running(): boolean {
    return this.#state === 'running';
  }
  /** Sync regions done. */
  get done(): number {
    return this.#compared + this.#skipped + this.#failed;
  }
  /** Ranges that still differ, as far as is known. */
  get left(): number {
    return this.#mismatches - this.#repaired;
  }
  get sectors(): number {
    return this.#sectors;
  }

  /** The next sync region to compare; undefined: all have been given out. */
  take(): number | undefined {
    if (!this.running || this.#next >= this.total) return undefined;
    this.#next += 1;
    return this.#next - 1;
  }

  add(found: RegionComparison): void {
    switch (found.outcome) {
      case 'compared':
        this.#compared += 1;
        break;
      case 'skipped':
        this.#skipped += 1;
        break;
      case 'failed':
        this.#failed += 1;
        break;
      default:
        found.outcome satisfies never;
    }
    this.#mismatches += found.rangeCount;
    this.#sectors += found.sectors;
    this.#repaired += found.repairedCount;
    for (const range of found.ranges.slice(0, MOST_RANGES - this.#ranges.length)) {
      const at = this.#ranges.findLastIndex(({ sector }) => sector < range.sector);
      this.#ranges.splice(at + 1, 0, rangeOf(range));
    }
  }

  /** What is left cannot be compared: fewer than two legs are in use. */
  skipRest(): void {
    this.#skipped += this.total - this.#next;
    this.#next = this.total;
  }

  end(): void {
    if (!this.running) return;
    this.#state = this.done >= this.total ? 'finished' : 'stopped';
    this.#finished = unixSeconds();
  }

  /** What was found, with the ranges from number `first` on that fit. */
  page(set: string, first: number): ScrubPage {
    const ranges: ScrubRange[] = [];
    let room = PAGE_CHARACTERS;
    for (const range of this.#ranges.slice(first)) {
      room -= JSON.stringify(range).length + 1;
      if (room < 0 && ranges.length > 0) break;
      ranges.push(range);
    }
    const next = first + ranges.length;
    return {
      version: 1,
      set,
      run: this.run,
      action: this.action,
      state: this.#state,
      started: this.#started,
      finished: this.#finished,
      total: this.total,
      compared: this.#compared,
      skipped: this.#skipped,
      failed: this.#failed,
      mismatches: this.#mismatches,
      sectors: this.#sectors,
      repaired: this.#repaired,
      ranges,
      next: next < this.#ranges.length ? next : null,
    };
  }
}

/** `user.dmio.scrub`. */
export function scrubText(page: ScrubPage): string {
  const { action, state, run, started, finished, compared, skipped, failed, mismatches, sectors, repaired } =
    page;
  return (
    `action=${action} state=${state} run=${String(run)} started=${String(started)} finished=${String(finished ?? '-')} ` +
    `compared=${String(compared)} skipped=${String(skipped)} failed=${String(failed)} ` +
    `mismatches=${String(mismatches)} sectors=${String(sectors)} repaired=${String(repaired)}`
  );
}
