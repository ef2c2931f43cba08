/**
 * The daemon of one mount: checks everything, opens the sets, mounts, serves until the session ends, stops the sets.
 *
 *     start() -> serving -> SIGTERM, SIGINT or an unmount from outside -> sets flushed and marked clean -> the process ends
 *
 * SIGTERM while a file is open: the mount is detached and goes on serving until the last close; a second one ends the process at once.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { ConfigLegs } from '../config/config-legs.js';
import { loadConfig } from '../config/load.js';
import { type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import { DmiofsError, messageOf } from '../errors.js';
import type { MirrorSet } from '../mirror/mirror-set.js';
import { type NativeBinding, native } from '../native/binding.js';
import type { DeviceProbe } from '../native/device.js';
import type { FaultRule } from '../native/io.js';
import { dmiofsMountOn } from '../util/mountinfo.js';
import { openDaemonLog } from './daemon-log.js';
import { openSets } from './open-sets.js';
import { ServiceManager } from './service-manager.js';
import { EventJournal } from '../fuse/event-journal.js';
import { MountPoint } from '../fuse/mount.js';
import { clearMountpoint, mountKey, MountLock, waitForFormer } from '../fuse/mount-lock.js';

export interface DaemonOptions {
  readonly config: string;
  readonly mountpoint: string;
  readonly sets: readonly string[] | undefined;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number | undefined;
  readonly generic: readonly string[];
  readonly foreground: boolean;
  /** For rehearsing failures: the fault engine's rules to start with. */
  readonly faultRules: readonly FaultRule[] | undefined;
}

/** Bytes of the largest read or write that the kernel sends (native/fusemod/session_features.h): one I/O on each leg. */
const LARGEST_REQUEST = 1024 * 1024;
/** Bytes of a FUSE worker's stack: the default of 8 MiB is locked in memory for each. */
const THREAD_STACK = 512 * 1024;

export class Daemon {
  readonly #service: ServiceManager;
  readonly #mount: MountPoint;
  readonly #sets: readonly MirrorSet[];
  readonly #lock: MountLock;
  readonly #log: Logger;
  #asked = 0;
  #ended = false;

  private constructor(
    binding: NativeBinding,
    mount: MountPoint,
    sets: readonly MirrorSet[],
    lock: MountLock,
    log: Logger,
  ) {
    this.#service = new ServiceManager(binding, log);
    this.#mount = mount;
    this.#sets = sets;
    this.#lock = lock;
    this.#log = log;
  }

  /** Resolves when the files can be used. Whatever fails, nothing is left mounted, locked or open. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const binding = native();
    const loaded = loadConfig(options.config);
    const mountpoint = realpathOf(options.mountpoint);
    await waitForFormer(loaded.stateDir, mountpoint);
    await clearMountpoint(binding, mountpoint);
    const config = resolveConfig(loaded, {
      probeDevice: (path) => binding.probeDevice(path),
      only: options.sets,
      mountpoint,
    });
    const lock = MountLock.take(config.stateDir, mountpoint);
    const opened: MirrorSet[] = [];
    try {
      const log = openDaemonLog(
        config.logLevel,
        options.foreground ? undefined : join(config.stateDir, `${mountKey(mountpoint)}.daemon.log`),
      );
      binding.setLogSink((level, line) => {
        log[level](line);
      });
      const io = binding.openIo({
        engine: config.engine,
        faults: options.faultRules !== undefined,
        maxRunBytes: LARGEST_REQUEST,
      });
      for (const rule of options.faultRules ?? []) binding.faultAdd(rule);
      binding.enableStageTimes(process.env['DMIOFS_STAGE_TIMES'] === '1');
      log.info({ engine: io.engine, reason: io.reason, config: config.file, mountpoint }, 'starting');
      const keeper = new ConfigLegs({
        file: config.file,
        mountpoint,
        probeDevice: (path) => binding.probeDevice(path),
        knownProbe: rememberProbes(config),
      });
      const events = EventJournal.open(join(config.stateDir, `${mountKey(mountpoint)}.events`), (message) => {
        log.warn(message);
      });
      opened.push(...openSets(binding, config, { readOnly: options.readOnly, keeper, events, log }));
      binding.keepMemoryPrivate();
      for (const missing of binding.protectFromReclaim())
        log.warn(`not protected from memory reclaim: ${missing}`);
      process.env['FUSE_THREAD_STACK'] ??= String(THREAD_STACK);
      const mask = options.umask ?? 0;
      const mount = new MountPoint(binding, {
        mountpoint,
        source: config.file,
        files: config.sets.flatMap((set, index) => {
          const running = opened[index];
          if (running === undefined) return [];
          return [
            {
              set: running,
              mode: set.mode & ~mask,
              uid: options.uid ?? set.uid,
              gid: options.gid ?? set.gid,
              truncate: set.truncate,
              cache: set.cache,
              readOnly: set.readOnly || options.readOnly,
            },
          ];
        }),
        engine: io.engine,
        allowOther: options.allowOther,
        readOnly: options.readOnly,
        generic: options.generic,
        events,
        log,
      });
      // Opening the sets took its time.
      if (dmiofsMountOn(mountpoint) !== undefined)
        throw new DmiofsError('ERR_DMIOFS_MOUNT', `${mountpoint} was mounted meanwhile by another dmiofs`);
      await mount.mount().catch(async (error: unknown) => {
        // A session that failed after mount(2) leaves a mount that would hang whoever looks at it. What others have mounted there stays.
        if (isMountOf(mountpoint, config.file)) await binding.umount(mountpoint, true).catch(() => undefined);
        throw error;
      });
      const daemon = new Daemon(binding, mount, opened, lock, log);
      for (const set of opened) set.begin();
      log.info({ mountpoint, sets: opened.map(({ name }) => name) }, 'mounted');
      return daemon;
    } catch (error) {
      await Promise.allSettled(opened.map((set) => set.stop()));
      lock.release();
      throw error;
    }
  }

  /** Resolves when the session has ended, however, and the sets have been stopped. */
  async run(): Promise<void> {
    process.on('SIGTERM', () => void this.#askedToStop('SIGTERM'));
    process.on('SIGINT', () => void this.#askedToStop('SIGINT'));
    process.on('SIGHUP', () => undefined);
    process.on('uncaughtException', (error) => {
      this.#log.fatal({ error: error.stack ?? error.message }, 'an error in the control plane: unmounting');
      void this.#askedToStop('uncaughtException');
    });
    const names = this.#sets.map(({ name }) => name).join(', ');
    this.#service.ready(`serving ${names}`);
    await this.#mount.wait();
    this.#ended = true;
    this.#service.stopping('flushing');
    this.#log.info('unmounted: flushing');
    for (const result of await Promise.allSettled(this.#sets.map((set) => set.stop()))) {
      if (result.status === 'rejected') this.#log.error(messageOf(result.reason));
    }
    this.#lock.release();
    this.#log.info('stopped');
  }

  async #askedToStop(signal: string): Promise<void> {
    // A service manager ends what it still finds of an unmounted mount: it is flushing, and the place may be another's by now.
    if (this.#ended) return;
    this.#asked += 1;
    if (this.#asked > 1) {
      this.#log.error({ signal }, 'asked again: ending now, open files lose their mount');
      await this.#mount.unmount(true).catch(() => undefined);
      process.exit(1);
    }
    this.#log.info({ signal }, 'asked to stop');
    try {
      await this.#mount.unmount(false);
    } catch (error) {
      this.#log.warn(`${messageOf(error)}: detached; it is served until the last close`);
      await this.#mount.unmount(true).catch((reason: unknown) => {
        this.#log.error(messageOf(reason));
      });
    }
  }
}

/** What a device of the mount was when it was mounted: one that hangs now is not looked at again by the thread that serves names. */
function rememberProbes(config: ResolvedConfig): (path: string) => DeviceProbe | undefined {
  const known = new Map<string, DeviceProbe>();
  for (const { legs, replacements } of config.sets) {
    for (const { device, probe } of [...legs, ...replacements])
      if (probe !== undefined) known.set(device, probe);
  }
  return (path) => known.get(path);
}

/** By the table of mounts alone, where the source may be cut off. */
function isMountOf(mountpoint: string, config: string): boolean {
  const source = dmiofsMountOn(mountpoint)?.source;
  return source !== undefined && source !== '' && config.startsWith(source);
}

/** A dead mount cannot be looked up, but its parent can. */
function realpathOf(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    try {
      return join(realpathSync(dirname(absolute)), basename(absolute));
    } catch {
      return absolute;
    }
  }
}
