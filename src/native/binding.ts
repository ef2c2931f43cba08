/**
 * The addon: the only file that loads it, and the types of everything it exports.
 *
 * It is loaded with RTLD_GLOBAL, before fuse-native, because it exports the session's own `fuse_mount` and `fuse_unmount`
 * (native/fusemod/session_shim.cc), which fuse-native is to bind to.
 */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What the addon throws for a failed system call: `code` is the errno's name. */
export interface NativeError extends Error {
  readonly code: string;
  /** Positive errno. */
  readonly errno: number;
  /** What failed, e.g. `open`. */
  readonly step: string;
  /** On what, e.g. a path; may be empty. */
  readonly object: string;
  /** What to do about it; may be empty. */
  readonly hint: string;
}

// ---- devices (native/device/device.h) ----

export interface DeviceProbe {
  readonly path: string;
  readonly kind: 'block' | 'file';
  readonly sizeBytes: number;
  /** Bytes; I/O must be aligned to it. */
  readonly logicalBlockSize: number;
  readonly direct: boolean;
  /** The device or its file system cannot be written. */
  readonly readOnly: boolean;
  /** st_rdev of a block device, 0 of a file, in decimal. */
  readonly rdev: string;
  /** st_dev of the file system that holds a file, 0 of a block device, in decimal. */
  readonly dev: string;
  readonly inode: string;
  readonly serial: string;
}

// ---- the process's I/O (engine and dm-io core, one of each in a process) ----

export type EngineKind = 'auto' | 'uring' | 'threads' | 'null';

export interface IoOptions {
  readonly engine: EngineKind;
  /** Wraps the engine in the fault engine, so that faultAdd works. */
  readonly faults?: boolean;
  /** The largest data of one mirror set transfer in bytes; default 131072. */
  readonly maxRunBytes?: number;
}

export interface IoInfo {
  /** `uring`, `threads`, `null`, `fault(uring)` ... */
  readonly engine: string;
  /** Why this one. */
  readonly reason: string;
}

export type FaultAction = 'error' | 'error-after' | 'delay' | 'hang' | 'torn' | 'drop' | 'corrupt';

/** native/engine/fault.h; every field but `action` has the default said there. */
export interface FaultRule {
  readonly action: FaultAction;
  readonly device?: string;
  readonly ops?: readonly ('read' | 'write' | 'flush' | 'discard' | 'write-zeroes')[];
  readonly firstByte?: number;
  readonly lastByte?: number;
  readonly skip?: number;
  readonly times?: number;
  readonly chancePerMillion?: number;
  readonly seed?: number;
  /** Positive errno. */
  readonly error?: number;
  /** The delay is the sum of the two. */
  readonly delayMs?: number;
  readonly delayUs?: number;
  readonly tornBytes?: number;
}

// ---- logs (native/mirror/log_create.h, log_inspect.h) ----

export interface CreateLogOptions {
  readonly path: string;
  /** Sectors in the set. */
  readonly count: number;
  /** Sectors in a sync region, a power of two. */
  readonly syncRegionSectors: number;
  /** By index; the devices exist. */
  readonly legs: readonly SetLegOptions[];
  /** The legs are equal; else leg 0 is right and the others are copied from it. */
  readonly inSync: boolean;
}

/** `adopted`: it was the log of a kernel mirror; its bits count, leg 0 is the source. */
export type LogCreation = 'created' | 'adopted';

/** A leg as the set's record has it. */
export interface LegInspection {
  readonly uuid: string;
  readonly state: LegState;
  readonly kind: 'block' | 'file';
  readonly dev: string;
  readonly inode: string;
  readonly serial: string;
  readonly sector: number;
  readonly count: number;
  /** Of the record in which it stopped being in-sync; 0 = it has not. */
  readonly leftGeneration: number;
  /** Bit mask: 1 read, 2 write, 4 flush, 8 resync. */
  readonly errorKinds: number;
}

export interface RecordInspection {
  readonly uuid: string;
  readonly generation: number;
  readonly clean: boolean;
  readonly startCount: number;
  readonly count: number;
  readonly syncRegionSectors: number;
  readonly legs: readonly LegInspection[];
}

export interface LogInspection {
  readonly sizeBytes: number;
  /** Of the kernel's part. */
  readonly header: 'valid' | 'blank' | 'not a log' | 'unknown version';
  readonly version: number;
  /** In decimal: LVM writes 2^64 - 1. */
  readonly nrRegions: string;
  /** Sync regions that are dirty, of the first nrRegions. */
  readonly dirty: number;
  /** UUID of the set whose log it is; null: a kernel's. */
  readonly owner: string | null;
  /** The newest valid one. */
  readonly record: RecordInspection | null;
  /** Why there is no record; empty when there is one. */
  readonly problem: string;
}

// ---- mirror sets (native/mirror/mirror_set.h) ----

export type LegState = 'in-sync' | 'rebuilding' | 'failed' | 'missing';
export type SetState = 'complete' | 'degraded' | 'failed';
export type ReadPolicy = 'primary' | 'round-robin' | 'fastest';

export interface SetLegOptions {
  readonly device: string;
  readonly sector: number;
  /** A replacement: index of the leg whose place it takes when it is in-sync. */
  readonly replaces?: number;
}

export interface SetOptions {
  readonly name: string;
  /** Sectors. */
  readonly count: number;
  readonly legs: readonly SetLegOptions[];
  readonly readPolicy: ReadPolicy;
  /** Milliseconds; 0 = wait for ever. */
  readonly ioTimeoutMs: number;
  /** Repaired read errors that a leg may have had lately; 0 = no limit. */
  readonly readErrorLimit?: number;
  readonly readOnly: boolean;
  /** Sectors in a sync region, a power of two. */
  readonly syncRegionSectors: number;
  /** The dirty region log and record; without it nothing is kept over a restart. */
  readonly log?: SetLogOptions;
}

export interface SetLogOptions {
  readonly path: string;
  /** How many trusted in-sync legs are needed to start. */
  readonly start: 'any' | 'majority' | 'all';
}

export interface LegSnapshot {
  readonly device: string;
  readonly sector: number;
  readonly count: number;
  readonly state: LegState;
  /** A replacement: index of the leg whose place it takes when it is in-sync; -1: a leg. */
  readonly replaces: number;
  /** I/O that outlived its deadline, which its device has not ended yet. */
  readonly lateIos: number;
  /** One dm-mirror health character: A a D F S R U. */
  readonly health: string;
  readonly readErrors: number;
  readonly writeErrors: number;
  readonly flushErrors: number;
  readonly syncErrors: number;
  /** Positive errno, 0 = none yet. */
  readonly lastErrno: number;
  readonly lastErrorSector: number;
  /** Unix seconds. */
  readonly lastErrorTime: number;
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly repairedReads: number;
}

export interface SetSnapshot {
  readonly name: string;
  readonly count: number;
  readonly blockSize: number;
  readonly state: SetState;
  readonly readBits: bigint;
  readonly writeBits: bigint;
  readonly flushBits: bigint;
  readonly syncRegions: number;
  readonly inSyncRegions: number;
  readonly dirtySyncRegions: number;
  readonly syncRegionSectors: number;
  /** -1: none is left. */
  readonly readLeg: number;
  readonly readOnly: boolean;
  readonly logFailed: boolean;
  readonly generation: number;
  readonly lateIos: number;
  /** Operations of users under way. */
  readonly inFlight: number;
  /** Of the sync action, kept in the record; bytes a second, a speedMax of 0 = no limit, both 0 = never set. */
  readonly paused: boolean;
  readonly speedMin: number;
  readonly speedMax: number;
  readonly legs: readonly LegSnapshot[];
}

/** What one leg did for users of the set, by operation. */
export interface OperationTotal {
  readonly bytes: number;
  /** Sum of what each took. */
  readonly seconds: number;
  /** Operations by what they took: {@link LATENCY_BOUNDS}; the last one has no bound. */
  readonly buckets: readonly number[];
}

export type LegOperation = 'read' | 'write' | 'flush' | 'zero';
export type LegTotals = Readonly<Record<LegOperation, OperationTotal>>;

/** Upper bounds of the latency buckets in seconds, but for the last (native/mirror/leg_statistics.h). */
export const LATENCY_BOUNDS: readonly number[] = Array.from({ length: 23 }, (_, k) => (8 * 2 ** k) / 1e6);

/** The states of a set's sync regions; neighbours share a cell, which shows the worst of them. */
export interface SyncMap {
  readonly syncRegions: number;
  /** Sync regions in each cell; the last cell may have fewer. */
  readonly perCell: number;
  /** 0 clean, 1 dirty, 2 not in sync. */
  readonly cells: Uint8Array;
}

export type SetEventKind =
  | 'leg-failed'
  | 'degraded-at-start'
  | 'resync-started'
  | 'resync-finished'
  | 'set-failed'
  | 'mismatch'
  | 'log-failed'
  | 'sync-needed';

export interface SetEvent {
  readonly kind: SetEventKind;
  /** -1: the set. */
  readonly leg: number;
  /** Positive errno, 0 = none. */
  readonly errno: number;
  readonly sector: number;
}

/** What a leg holds of a range, as it was found. */
export interface LegContent {
  readonly leg: number;
  /** Hex, of the range's bytes. */
  readonly sha256: string;
  /** By majority, or as the primary does. */
  readonly right: boolean;
}

export interface DifferingRange {
  readonly sector: number;
  /** Sectors. */
  readonly count: number;
  /** More than half of three or more legs hold what is right; else the primary says what is. */
  readonly majority: boolean;
  readonly repaired: boolean;
  readonly legs: readonly LegContent[];
}

/** Of one sync region. */
export interface RegionComparison {
  readonly outcome: 'compared' | 'skipped' | 'failed';
  readonly rangeCount: number;
  readonly sectors: number;
  /** Ranges. */
  readonly repairedCount: number;
  /** The first 1,024. */
  readonly ranges: readonly DifferingRange[];
}

/** A running mirror set. Opened by {@link NativeBinding.openSet}. */
export interface NativeSet {
  snapshot(): SetSnapshot;
  /** By leg. */
  statistics(): readonly LegTotals[];
  /** In at most `most` cells. */
  syncMap(most: number): SyncMap;
  /** Rejects with EINVAL (no such leg), EBUSY (the last in-sync leg), EALREADY, EIO (it could not be recorded). */
  failLeg(leg: number): Promise<void>;
  /** -1: all legs. */
  clearErrors(leg: number): Promise<void>;
  /**
   * A failed or missing leg comes back as rebuilding, its device opened again, or another one in its place. `full`: everything is
   * copied, not only what changed.
   */
  beginRebuild(
    leg: number,
    options:
      | { readonly full: boolean }
      | { readonly full: true; readonly device: string; readonly sector: number },
  ): Promise<void>;
  /** A leg more, the last one, rebuilding. Rejects with EEXIST, EALREADY, E2BIG, ENOSPC, EINVAL, ENXIO, EBUSY, EROFS, EIO. */
  addLeg(leg: SetLegOptions): Promise<void>;
  /** The legs above move down. Rejects with EBUSY (the last in-sync one), EALREADY (it is being replaced), EAGAIN, EIO. */
  removeLeg(leg: number): Promise<void>;
  /** What the set knows is on stable storage when it resolves; rejects with EIO, EROFS. */
  storeRecord(): Promise<void>;
  /** A replacement that is in-sync takes its place. Rejects with EAGAIN when it cannot yet, EINVAL, EIO. */
  promoteLeg(leg: number): Promise<void>;
  /** -1: none. */
  nextNotInSync(from: number): number;
  recoverSyncRegion(syncRegion: number): Promise<'copied' | 'skipped' | 'failed'>;
  /** Compares one sync region on all legs that hold it; `repair`: and makes them equal. native/mirror/mirror_set.h has the outcomes. */
  compareSyncRegion(syncRegion: number, repair: boolean): Promise<RegionComparison>;
  recoveryPossible(): boolean;
  rebuilding(): boolean;
  activity(): number;
  setSyncLimits(limits: {
    readonly paused: boolean;
    readonly speedMin: number;
    readonly speedMax: number;
  }): Promise<void>;
  /** Drains, flushes, closes the devices. Idempotent. */
  stop(): Promise<void>;
}

// ---- the mount (native/fusemod/) ----

export interface MountedSet {
  readonly set: NativeSet;
  /** The file's name. */
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly truncate: 'zero' | 'deny';
  readonly cache: 'auto' | 'none' | 'writeback';
  readonly readOnly: boolean;
}

export interface MountOptions {
  readonly sets: readonly MountedSet[];
  /** libfuse's own session, with its limits. */
  readonly stockSession?: boolean;
  /** The kernel's writeback cache for files that are not opened direct. */
  readonly writebackCache?: boolean;
  /**
   * With the writeback cache: the kernel took a write beyond the end of this file (by name) and shows it longer than it is. A process
   * other than this one is to truncate it to its size; not called again before that has happened.
   */
  readonly onGrown?: (name: string) => void;
  /** Called once, on the main thread, when the session has ended, however it was unmounted. */
  readonly onEnd: () => void;
}

export interface MountCounters {
  /** Operations answered in the addon. */
  readonly native: number;
  /** Operations passed on to JavaScript. */
  readonly forwarded: number;
  readonly read: number;
  readonly write: number;
  readonly getattr: number;
}

export interface SessionInfo {
  /** Whether the addon's own fuse_mount was called (else libfuse's limits hold). */
  readonly shim: boolean;
  /** The protocol's minor version that the kernel offered, 0 before INIT. */
  readonly kernelMinor: number;
  /** Bytes of the largest read or write that the kernel sends. */
  readonly maxRequest: number;
  readonly asyncDirectIo: boolean;
  readonly parallelDirectWrites: boolean;
  readonly writebackCache: boolean;
}

// ---- stage times (native/base/stage_times.h) ----

/** Times in nanoseconds; percentiles are exact to an eighth. */
export interface StageTime {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export type StageName = 'range-locked' | 'dirty-marked' | 'submitted' | 'completed' | 'answered' | 'whole';
/** By kind of request; what has not occurred is not there. */
export type StageTimes = Readonly<
  Record<'read' | 'write' | 'flush', Readonly<Partial<Record<StageName, StageTime>>>>
>;

// ---- dm-io (native/addon/dmio_binding.cc); src/dmio/ is what programs use ----

/** An open device of the dm-io API. */
export interface NativeDevice {
  readonly path: string;
  readonly sectors: number;
  /** Bytes. */
  readonly logicalBlockSize: number;
  readonly writable: boolean;
  /** Closes it when the last request on it has ended. */
  release(): void;
}

/** IoOp of native/engine/engine.h. */
export type NativeOp = 0 | 1 | 2 | 3 | 4;
/** 0 page list (offsets[0] is into the first page), 1 bvec, 2 vm buffer, 3 no memory. */
export type NativeMemoryKind = 0 | 1 | 2 | 3;

export type NativeRequest = readonly [
  op: NativeOp,
  devices: readonly NativeDevice[],
  sectors: readonly number[],
  counts: readonly number[],
  kind: NativeMemoryKind,
  pieces: readonly Uint8Array[],
  offsets: readonly number[],
  lengths: readonly number[],
];

/** 0 = no bit is on; positive errnos by I/O region. */
export type NativeOutcome = readonly [errorBits: 0 | bigint, errnos: readonly number[] | null];

export interface NativeBinding {
  readonly apiVersion: number;

  /** Throws a {@link NativeError}. */
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

/** Whether `error` is one that the addon threw for a failed system call. */
export function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'step' in error && 'errno' in error;
}
