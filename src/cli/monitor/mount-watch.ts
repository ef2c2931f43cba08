/**
 * MountWatch: what a monitor has told of one mountpoint, so that nothing is told twice and nothing is left out.
 *
 *     new --standing() or taken from the start--> following: news() --trouble()--> in trouble --news()--> following
 *
 * It outlives the mount and its daemon: events are known by their run and number (fuse/event-journal.ts), which go on in the next daemon.
 * What stood when the monitor came is told from the status, read after the events; an event of it that arrives later is not news.
 */
import type { EventList, KeptEvent } from '../../mirror/event.js';
import type { ReportedEvent } from '../../mirror/event-schema.js';
import type { SetStatus } from '../../mirror/status.js';
import { reportOf } from './report.js';

export type Trouble = 'daemon-died' | 'daemon-hung';

export class MountWatch {
  readonly mountpoint: string;
  /** It came after the monitor. */
  readonly fresh: boolean;
  readonly #only: string | undefined;
  readonly #now: () => number;
  /** The highest number told, by run; undefined: nothing was read yet. */
  #seen: Map<string, number> | undefined;
  #last = 0;
  #trouble: Trouble | undefined;
  /** What was told as standing, and the run in which it stood. */
  #standing = new Set<string>();
  #standingRun = '';

  /** `only`: this set's events. */
  constructor(mountpoint: string, only: string | undefined, fresh: boolean, now: () => number = Date.now) {
    this.mountpoint = mountpoint;
    this.fresh = fresh;
    this.#only = only;
    this.#now = now;
  }

  get following(): boolean {
    return this.#seen !== undefined;
  }

  /** For a mount that came after the monitor: all that its daemon has told is news, what earlier ones told is not. */
  fromTheStart(list: EventList): readonly ReportedEvent[] {
    this.#seen = new Map();
    this.#last = list.first - 1;
    for (const { run, seq } of list.events) if (run !== list.run) this.#seen.set(run, seq);
    return this.news(list);
  }

  /** For a mount that was there before: what is wrong now. The sets were asked after the list. */
  standing(list: EventList, sets: readonly SetStatus[]): readonly ReportedEvent[] {
    this.#see(list);
    this.#standing = new Set();
    this.#standingRun = list.run;
    const reports: ReportedEvent[] = [...this.#back()];
    const time = this.#now();
    for (const set of sets.filter(({ name }) => this.#wants(name))) {
      for (const { leg, state, device, last_error } of set.legs) {
        if (state === 'in-sync') continue;
        if (state !== 'rebuilding') this.#standing.add(`${set.name}/${String(leg)}`);
        const error =
          last_error === null || state === 'rebuilding'
            ? {}
            : { errno: last_error.errno, sector: last_error.sector };
        reports.push(
          reportOf(this.mountpoint, {
            kind: 'degraded-at-start',
            set: set.name,
            time,
            leg,
            device,
            ...error,
          }),
        );
      }
      for (const kind of ['set-failed', 'log-failed'] as const) {
        if ((kind === 'set-failed' ? set.state : set.log) !== 'failed') continue;
        this.#standing.add(`${set.name}/${kind}`);
        reports.push(reportOf(this.mountpoint, { kind, set: set.name, time }));
      }
    }
    return reports;
  }

  news(list: EventList): readonly ReportedEvent[] {
    const seen = this.#seen ?? new Map<string, number>();
    const reports: ReportedEvent[] = [...this.#back()];
    // A journal that began anew has lower numbers: nothing is known to be missing of it.
    if (list.last >= this.#last && list.first > this.#last + 1) {
      const failed = list.first - this.#last - 1;
      reports.push(reportOf(this.mountpoint, { kind: 'events-lost', set: null, time: this.#now(), failed }));
    }
    for (const event of list.events) {
      if (event.seq <= (seen.get(event.run) ?? 0) || !this.#wants(event.set) || this.#told(event)) continue;
      reports.push(reportOf(this.mountpoint, event));
    }
    this.#see(list);
    this.#standing.clear();
    return reports;
  }

  /** The daemon did not answer. Told once. */
  trouble(kind: Trouble): readonly ReportedEvent[] {
    if (this.#trouble === kind) return [];
    this.#trouble = kind;
    return [reportOf(this.mountpoint, { kind, set: null, time: this.#now() })];
  }

  #back(): readonly ReportedEvent[] {
    if (this.#trouble === undefined) return [];
    this.#trouble = undefined;
    return [reportOf(this.mountpoint, { kind: 'daemon-back', set: null, time: this.#now() })];
  }

  #wants(set: string): boolean {
    return this.#only === undefined || this.#only === set;
  }

  #see(list: EventList): void {
    this.#seen = new Map([[list.run, 0]]);
    for (const { run, seq } of list.events) this.#seen.set(run, seq);
    this.#last = list.last;
  }

  /**
   * Whether it was told as standing: an event of that moment, which was on its way to the daemon's list. So only those of the first list
   * after it are looked at, and in them what failed anew after a sync action had begun is news.
   */
  #told({ kind, run, set, leg }: KeptEvent): boolean {
    if (run !== this.#standingRun) return false;
    const key = `${set}/${leg === null ? kind : String(leg)}`;
    switch (kind) {
      case 'leg-failed':
      case 'degraded-at-start':
      case 'set-failed':
      case 'log-failed':
        return this.#standing.delete(key);
      case 'resync-started':
      case 'leg-removed':
      case 'leg-replaced':
      case 'leg-added':
      case 'resync-finished':
      case 'mismatch':
        this.#standing = new Set([...this.#standing].filter((at) => !at.startsWith(`${set}/`)));
        return false;
      default:
        kind satisfies never;
        return false;
    }
  }
}
