/**
 * Monitor: asks the mounts once a second what has happened, and tells it.
 *
 * Mounts come and go, daemons die and hang: the table of mounts says what is there, and each question has a deadline. One that is not
 * answered stays the only one under way to that mount, however long.
 */
import { dirname, basename } from 'node:path';
import { messageOf } from '../../errors.js';
import type { EventList } from '../../mirror/event.js';
import type { ReportedEvent } from '../../mirror/event-schema.js';
import type { NativeBinding } from '../../native/binding.js';
import { dmiofsMounts } from '../../util/mountinfo.js';
import { within } from '../../util/timeout.js';
import { MountWatch } from './mount-watch.js';

const ANSWER_MS = 5000;

export interface MonitorOptions {
  /** A mountpoint, or a file under one, absolute; undefined: all mounts. */
  readonly path: string | undefined;
  readonly tell: (event: ReportedEvent) => void;
  readonly problem: (message: string) => void;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

export class Monitor {
  readonly #binding: NativeBinding;
  readonly #options: MonitorOptions;
  readonly #watches = new Map<string, MountWatch>();
  readonly #asking = new Set<string>();
  readonly #told = new Map<string, string>();
  #first = true;

  constructor(binding: NativeBinding, options: MonitorOptions) {
    this.#binding = binding;
    this.#options = options;
  }

  /** Looks at every mount once; resolves when each has answered or was too late. False: nothing that is meant is mounted. */
  async poll(): Promise<boolean> {
    const first = this.#first;
    this.#first = false;
    const mountpoints = [...new Set(dmiofsMounts().map(({ mountpoint }) => mountpoint))].filter(
      (mountpoint) => this.#wants(mountpoint),
    );
    await Promise.all(mountpoints.map((mountpoint) => this.#look(mountpoint, first)));
    return mountpoints.length > 0;
  }

  #wants(mountpoint: string): boolean {
    const { path } = this.#options;
    return path === undefined || path === mountpoint || dirname(path) === mountpoint;
  }

  #watch(mountpoint: string, fresh: boolean): MountWatch {
    const { path } = this.#options;
    const only = path === undefined || path === mountpoint ? undefined : basename(path);
    const watch = this.#watches.get(mountpoint) ?? new MountWatch(mountpoint, only, fresh);
    this.#watches.set(mountpoint, watch);
    return watch;
  }

  async #look(mountpoint: string, first: boolean): Promise<void> {
    if (this.#asking.has(mountpoint)) return;
    const watch = this.#watch(mountpoint, !first);
    this.#asking.add(mountpoint);
    const asked = this.#events(mountpoint).finally(() => this.#asking.delete(mountpoint));
    try {
      const list = await within(ANSWER_MS, `asking ${mountpoint}`, asked);
      let events: readonly ReportedEvent[];
      if (watch.following) events = watch.news(list);
      else if (watch.fresh) events = watch.fromTheStart(list);
      else events = watch.standing(list);
      this.#told.delete(mountpoint);
      for (const event of events) this.#options.tell(event);
    } catch (error) {
      this.#failed(watch, error);
    }
  }

  async #events(mountpoint: string): Promise<EventList> {
    const value = await this.#binding.getXattr(mountpoint, 'user.dmio.events');
    const list = JSON.parse(value.toString('utf8')) as EventList;
    if (!Array.isArray(list.events) || !Array.isArray(list.standing)) throw new Error('an unexpected answer');
    return list;
  }

  #failed(watch: MountWatch, error: unknown): void {
    switch (codeOf(error)) {
      case 'ENOTCONN':
      case 'ECONNABORTED':
        for (const event of watch.trouble('daemon-died')) this.#options.tell(event);
        return;
      case 'ERR_DMIOFS_TIMEOUT':
        for (const event of watch.trouble('daemon-hung')) this.#options.tell(event);
        return;
      case 'ENODATA': // it is starting, or ending: the folder below is seen
      case 'ENOTSUP':
      case 'ENOENT':
        return;
      default:
    }
    const message = messageOf(error);
    if (this.#told.get(watch.mountpoint) === message) return;
    this.#told.set(watch.mountpoint, message);
    this.#options.problem(`${watch.mountpoint}: ${message}`);
  }
}
