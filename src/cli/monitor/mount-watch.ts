/**
 * MountWatch: what a monitor has told of one mountpoint, so that nothing is told twice and nothing is left out.
 *
 *     new --standing() or taken from the start--> following: news() --trouble()--> in trouble --news()--> following
 *
 * It outlives the mount and its daemon: events are known by their run and number (fuse/event-journal.ts), which go on in the next daemon.
 * What stood when the monitor came is in the list too, as of the list's end: so what follows is news, and nothing is between.
 */
import type { EventList } from '../../mirror/event.js';
import type { ReportedEvent } from '../../mirror/event-schema.js';
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

  /** For a mount that was there before: what is wrong now. */
  standing(list: EventList): readonly ReportedEvent[] {
    this.#see(list);
    const time = this.#now();
    const wrong = list.standing.filter(({ set }) => this.#wants(set));
    return [...this.#back(), ...wrong.map((one) => reportOf(this.mountpoint, { ...one, time }))];
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
      if (event.seq <= (seen.get(event.run) ?? 0) || !this.#wants(event.set)) continue;
      reports.push(reportOf(this.mountpoint, event));
    }
    this.#see(list);
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
}
