/** The option string of libfuse: the only place that knows it. */
import { DmiofsError } from '../errors.js';

export interface FuseOptions {
  /** Shown as the source by findmnt and df. */
  readonly source: string;
  readonly mountId: number;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  /** Further options of mount(8) that libfuse knows, e.g. `nodev`. */
  readonly generic: readonly string[];
}

/** fuse-native hands on 1023 bytes and cuts the rest off without a word. */
const MAX_BYTES = 1023;
/** Seconds. Sizes and names do not change under the kernel, and what changes (chmod, touch) goes through it. */
const TIMEOUT = 3600;

const escape = (value: string): string => value.replace(/[\\,]/g, (character) => `\\${character}`);

export function fuseOptionString(options: FuseOptions): string {
  const list = [
    'big_writes', // else a buffered write is cut into 4 KiB requests
    'default_permissions', // modes hold, also for user.* attributes
    `attr_timeout=${String(TIMEOUT)}`,
    `entry_timeout=${String(TIMEOUT)}`,
    'negative_timeout=0',
    'use_ino', // the module's inode numbers: the same at each mount
    'subtype=dmiofs',
    'nonempty', // what is below is hidden, as by any mount
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.readOnly ? ['ro'] : []),
    ...options.generic,
    'modules=dmiofs',
    `dmiofs_mount=${String(options.mountId)}`,
  ];
  const text = `-o${list.join(',')}`;
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new DmiofsError(
      'ERR_DMIOFS_MOUNT',
      `the mount options are too long: ${String(Buffer.byteLength(text))} bytes of ${String(MAX_BYTES)}`,
    );
  }
  // The source is for people: it is cut rather than refused.
  let source = options.source;
  while (source !== '' && Buffer.byteLength(`${text},fsname=${escape(source)}`) > MAX_BYTES)
    source = source.slice(0, -1);
  return source === '' ? text : `${text},fsname=${escape(source)}`;
}
