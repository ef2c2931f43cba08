/**
 * The addon: the only file that loads it, and the list of all it exports; their types stand in the files beside this one.
 *
 * It is loaded with RTLD_GLOBAL, before fuse-native, because it exports the session's own `fuse_mount` and `fuse_unmount`
 * (native/fusemod/session_shim.cc), which fuse-native is to bind to.
 */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { DeviceProbe } from './device.js';
import type { NativeDevice, NativeOutcome, NativeRequest } from './dmio.js';
import type { MountCounters, MountOptions, SessionInfo } from './fuse.js';
import type { FaultRule, IoInfo, IoOptions } from './io.js';
import type { CreateLogOptions, LogCreation, LogInspection } from './log.js';
import type { NativeSet, SetEvent, SetOptions } from './set.js';
import type { StageTimes } from './stage-times.js';

export interface NativeBinding {
  /** Throws a NativeError. */
  probeDevice(path: string): DeviceProbe;

  /** Extended attributes, for the commands; on a libuv worker, so that a dead mount does not block the loop. */
  getXattr(path: string, name: string): Promise<Buffer>;
  setXattr(path: string, name: string, value: Buffer): Promise<void>;
  /** umount2(2) on a libuv worker. `detach`: MNT_DETACH. */
  umount(path: string, detach: boolean): Promise<void>;

  /** The addon's log lines; null: to stderr. */
  setLogSink(sink: ((level: 'debug' | 'info' | 'warn' | 'error', line: string) => void) | null): void;

  /** Opens the process's engine and dm-io core; once in a process, before the first set. */
  openIo(options: IoOptions): IoInfo;
  /** Pooled buffers, and those that wait for a device that has not answered yet. */
  ioBuffers(): { readonly total: number; readonly late: number };
  faultAdd(rule: FaultRule): number;
  faultRemove(id: number): boolean;
  faultClear(): void;
  faultHits(id: number): number;

  /**
   * Makes the log of a new set; never overwrites. Rejects with EEXIST (the log of a set already), EUCLEAN (one that has lost its
   * record), EINVAL (something else is there), ENOSPC, EBUSY ... and says what to do.
   */
  createLog(options: CreateLogOptions): Promise<LogCreation>;
  /** What a log holds; writes and locks nothing. */
  inspectLog(path: string): Promise<LogInspection>;

  openDevice(
    path: string,
    options: { readonly writable: boolean; readonly exclusive: boolean },
  ): Promise<NativeDevice>;
  /** Where completions go: id, errorBits, errnos, id ... of all that have ended. Once, before the first dmioStart. */
  dmioListen(onComplete: (flat: readonly (number | bigint | readonly number[] | null)[]) => void): void;
  /** 0, or a negative errno: then nothing was started. */
  dmioStart(id: number, ...request: NativeRequest): number;
  /** Blocks until all I/O has ended. A negative errno: nothing was done. */
  dmioRun(...request: NativeRequest): number | NativeOutcome;
  dmioGet(numPages: number): number;
  dmioPut(numPages: number): number;

  openSet(options: SetOptions, onEvent: (event: SetEvent) => void): NativeSet;

  /** Opens libfuse.so by path (RTLD_GLOBAL) and registers the module `dmiofs` in it. Once; before fuse-native is required. */
  fuseLoad(libfusePath: string): void;
  /** Makes a mount context; the module takes it up by the mount option `dmiofs_mount=ID`. */
  fuseAttach(options: MountOptions): number;
  fuseCounters(id: number): MountCounters;
  fuseSession(id: number): SessionInfo;
  /** Times the stages of each request from now on, of all mounts of the process; off at first. */
  enableStageTimes(on: boolean): void;
  /** Null: off. */
  stageTimes(): StageTimes | null;
  /** chmod, chown: what getattr answers from now on. */
  fuseSetAttr(id: number, name: string, attr: { mode?: number; uid?: number; gid?: number }): void;
  /** prctl(PR_SET_IO_FLUSHER), and mlock of the data path's code and buffers, where permitted; says what was not. Before the mount. */
  protectFromReclaim(): readonly string[];
  /** prctl(PR_SET_DUMPABLE, 0): no core file, no ptrace by this user's other processes. */
  keepMemoryPrivate(): void;
  /** sd_notify(3): `text` to the service manager's socket $NOTIFY_SOCKET. */
  notifyService(socket: string, text: string): void;
}

function locate(): string {
  const path = fileURLToPath(new URL('../../build/Release/dmiofs.node', import.meta.url));
  if (!existsSync(path)) {
    throw new Error(`the native addon is not built (no ${path}): run scripts/setup in the checkout`);
  }
  return path;
}

let loaded: NativeBinding | undefined;

/** The addon; loaded at the first call. Throws when it is not built or does not fit this machine. */
export function native(): NativeBinding {
  if (loaded === undefined) {
    const holder: { exports: object } = { exports: {} };
    process.dlopen(holder, locate(), constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL);
    loaded = holder.exports as NativeBinding;
  }
  return loaded;
}
