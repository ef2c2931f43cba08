/**
 * MountPoint: one mount of some sets in this process.
 *
 *     new -> mount() -> serving -> the session ends, however it was unmounted -> ended (wait() resolves)
 *
 * fuse-native's own unmount (a shell, lazy) and its per-operation timeout are never used. A process has one mount.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { DmiofsError } from '../errors.js';
import type { MirrorSet } from '../mirror/mirror-set.js';
import { type MountSummary, worstState } from '../mirror/status.js';
import type { NativeBinding } from '../native/binding.js';
import type { MountCounters, MountedSet, SessionInfo } from '../native/fuse.js';
import type { EventJournal } from './event-journal.js';
import { putSizeRight } from './grown-file.js';
import { makeHandlers } from './handlers.js';
import { fuseOptionString } from './options.js';
import { whyNoMount } from './why-no-mount.js';

const require = createRequire(import.meta.url);

export interface MountedFile {
  readonly set: MirrorSet;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly truncate: 'zero' | 'deny';
  readonly cache: 'auto' | 'none' | 'writeback';
  readonly readOnly: boolean;
}

export interface MountPointOptions {
  readonly mountpoint: string;
  /** The config's path, shown as the mount's source. */
  readonly source: string;
  readonly files: readonly MountedFile[];
  readonly engine: string;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  readonly generic: readonly string[];
  readonly events: EventJournal;
  readonly log: Logger;
}

type Done = (error: Error | null) => void;

interface FuseNative {
  mount(done: Done): void;
  _fuseOptions(): string;
  _open(done: Done): void;
  readonly _getImplementedArray: () => unknown;
  readonly _malloc: (size: number) => Buffer;
  readonly _handlers: unknown;
  _thread: Buffer;
  _openCallback: Done;
}
/** The addon of fuse-native. */
interface FuseNativeAddon {
  readonly sizeof_fuse_thread_t: number;
  readonly fuse_native_mount: (
    mountpoint: string,
    options: string,
    thread: Buffer,
    ...more: unknown[]
  ) => void;
}
type FuseNativeClass = new (mountpoint: string, handlers: object, options: { timeout: false }) => FuseNative;

/** Unix seconds. */
const STARTED = Math.floor(Date.now() / 1000 - process.uptime());

let libfuseLoaded = false;

/** Loads libfuse by its path, then fuse-native, which binds to that very library. */
function loadFuseNative(binding: NativeBinding): { FuseNative: FuseNativeClass; addon: FuseNativeAddon } {
  if (!libfuseLoaded) {
    const shared = dirname(require.resolve('fuse-shared-library-linux/package.json'));
    binding.fuseLoad(join(shared, 'libfuse', 'lib', 'libfuse.so'));
    libfuseLoaded = true;
  }
  const FuseNative = require('fuse-native') as FuseNativeClass;
  const main = require.resolve('fuse-native');
  const load = createRequire(main)('node-gyp-build') as (folder: string) => FuseNativeAddon;
  return { FuseNative, addon: load(dirname(main)) };
}

export class MountPoint {
  readonly #binding: NativeBinding;
  readonly #options: MountPointOptions;
  readonly #sets: ReadonlyMap<string, MirrorSet>;
  readonly #ended: Promise<void>;
  #id = 0;
  #onEnd: () => void = () => undefined;

  constructor(binding: NativeBinding, options: MountPointOptions) {
    this.#binding = binding;
    this.#options = options;
    this.#sets = new Map(options.files.map(({ set }) => [set.name, set]));
    this.#ended = new Promise((resolve) => {
      this.#onEnd = resolve;
    });
  }

  /** Resolves when the kernel has begun the session: the files can be used. */
  async mount(): Promise<void> {
    const { mountpoint, log, files } = this.#options;
    const writeback = files.filter(({ cache }) => cache === 'writeback');
    const { FuseNative, addon } = loadFuseNative(this.#binding);
    this.#id = this.#binding.fuseAttach({
      sets: this.#options.files.map(
        (file): MountedSet => ({ ...file, set: file.set.native, name: file.set.name }),
      ),
      stockSession: process.env['DMIOFS_SESSION'] === 'stock',
      // Of the session, not of a file: where one set has not asked for it, all are written through, which is right for each.
      writebackCache: writeback.length === files.length,
      onGrown: (name) => {
        const set = this.#sets.get(name);
        if (set !== undefined) putSizeRight(join(mountpoint, name), set.status().size, log);
      },
      onEnd: () => {
        this.#onEnd();
      },
    });
    const options = fuseOptionString({ ...this.#options, mountId: this.#id });
    class Fuse extends FuseNative {
      override _fuseOptions(): string {
        return options;
      }
      /** As fuse-native's own, which refuses a folder where something is mounted already: a docker volume, systemd's automount. */
      override _open(done: Done): void {
        this._thread = Buffer.alloc(addon.sizeof_fuse_thread_t);
        this._openCallback = done;
        try {
          addon.fuse_native_mount(
            mountpoint,
            options,
            this._thread,
            this,
            this._malloc,
            this._handlers,
            this._getImplementedArray(),
          );
        } catch (error) {
          done(error instanceof Error ? error : new Error(String(error)));
        }
      }
    }
    const handlers = makeHandlers({
      sets: this.#sets,
      status: () => this.status(),
      events: this.#options.events,
      setAttr: (name, attr) => {
        this.#binding.fuseSetAttr(this.#id, name, attr);
      },
      log,
    });
    await new Promise<void>((resolve, reject) => {
      new Fuse(mountpoint, handlers, { timeout: false }).mount((error) => {
        if (error === null) {
          resolve();
          return;
        }
        const why = whyNoMount() ?? error.message;
        reject(
          new DmiofsError('ERR_DMIOFS_MOUNT', `mounting on ${mountpoint} failed: ${why}`, { cause: error }),
        );
      });
    });
    if (writeback.length > 0 && !this.session().writebackCache) {
      const reason =
        writeback.length < files.length
          ? 'not every set of this mount has `cache: writeback`; mount such sets by themselves (--set NAME)'
          : 'the session cannot';
      log.warn({ sets: writeback.map(({ set }) => set.name) }, `writes go through, not gathered: ${reason}`);
    }
    if (!this.session().shim) log.warn("the session is libfuse's own: its limits hold");
  }

  session(): SessionInfo {
    return this.#binding.fuseSession(this.#id);
  }

  counters(): MountCounters {
    return this.#binding.fuseCounters(this.#id);
  }

  status(): MountSummary {
    const sets = [...this.#sets.values()].map((set) => set.status());
    const { native, forwarded, read, write } = this.counters();
    const stages = this.#binding.stageTimes();
    const session = this.session();
    return {
      version: 1,
      mountpoint: this.#options.mountpoint,
      pid: process.pid,
      config: this.#options.source,
      state: worstState(sets.map(({ state }) => state)),
      engine: this.#options.engine,
      session: session.shim ? 'shim' : 'stock',
      session_limits: {
        max_request: session.maxRequest,
        async_direct_io: session.asyncDirectIo,
        parallel_direct_writes: session.parallelDirectWrites,
        writeback_cache: session.writebackCache,
      },
      operations: { native, forwarded, read, write },
      daemon: this.#process(),
      ...(stages === null ? {} : { stages }),
      sets: sets.map(({ name, state }) => ({ name, state })),
    };
  }

  #process(): MountSummary['daemon'] {
    const { user, system } = process.cpuUsage();
    const { total, late } = this.#binding.ioBuffers();
    return {
      started: STARTED,
      rss: process.memoryUsage.rss(),
      cpu: (user + system) / 1e6,
      open_files: readdirSync('/proc/self/fd').length - 1, // its own
      buffers: total,
      late_buffers: late,
    };
  }

  /** Resolves when the session has ended and no operation runs any more. */
  wait(): Promise<void> {
    return this.#ended;
  }

  /** Unmounts; EBUSY while a file is open, unless `detach`: then the session ends at the last close. */
  async unmount(detach: boolean): Promise<void> {
    await this.#binding.umount(this.#options.mountpoint, detach);
  }
}
