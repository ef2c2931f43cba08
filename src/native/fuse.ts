/** What the libfuse module is told of a mount, and what it tells (native/fusemod/). */
import type { NativeSet } from './set.js';

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
