/**
 * What sysfs and procfs say of block devices: what lies on what, and what is in use. A `SystemDevices` is one look at the machine: take
 * one for a config, not one for a leg. Looks only; nothing is opened, and no file of another FUSE mount is touched, which may hang.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DeviceProbe } from '../native/device.js';
import { type MountEntry, mounts } from '../util/mountinfo.js';

/** Bytes of one underlying file or disk, whatever names and layers lead to them. */
export interface Extent {
  /** `file:DEV:INODE`, `block:MAJOR:MINOR`, or `path:PATH` of what is not there yet. */
  readonly key: string;
  /** Bytes. */
  readonly start: number;
  readonly end: number;
}

export const overlap = (a: Extent, b: Extent): boolean =>
  a.key === b.key && a.start < b.end && b.start < a.end;

/** `MAJOR:MINOR` of a st_rdev or st_dev (makedev(3)). */
export function majorMinor(rdev: string): string {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  return `${String(major)}:${String(minor)}`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '');
  } catch {
    return undefined;
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

const sysfs = (id: string): string => `/sys/dev/block/${id}`;
const sectorsAt = (path: string): number => Number(read(path) ?? 0) * 512;

function nameOf(id: string): string {
  try {
    return basename(realpathSync(sysfs(id)));
  } catch {
    return id;
  }
}

/** The whole disk of a partition. */
function diskOf(id: string): string | undefined {
  if (read(join(sysfs(id), 'partition')) === undefined) return undefined;
  try {
    return read(join(realpathSync(sysfs(id)), '..', 'dev'));
  } catch {
    return undefined;
  }
}

function partitionsOf(id: string): readonly string[] {
  return list(sysfs(id)).flatMap((name) => {
    const folder = join(sysfs(id), name);
    const dev = read(join(folder, 'partition')) === undefined ? undefined : read(join(folder, 'dev'));
    return dev === undefined ? [] : [dev];
  });
}

type Identity =
  | { readonly kind: 'file'; readonly key: string }
  | { readonly kind: 'block'; readonly id: string };

function identify(path: string): Identity | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    if (stat.isBlockDevice()) return { kind: 'block', id: majorMinor(String(stat.rdev)) };
    return { kind: 'file', key: `file:${String(stat.dev)}:${String(stat.ino)}` };
  } catch {
    return undefined;
  }
}

/** The key of a file's extents, by whatever name; undefined: there is none. */
export function fileKey(path: string): string | undefined {
  const found = identify(path);
  return found?.kind === 'file' ? found.key : undefined;
}

interface Layers {
  /** The device itself and the devices under it. */
  readonly ids: readonly string[];
  readonly key: string;
  /** Byte of the lowest layer where the device begins. */
  readonly offset: number;
}

/** Follows partitions to their disk, and loop devices to their file or device. */
function layersOf(id: string): Layers {
  const ids = [id];
  let offset = 0;
  let at = id;
  for (let depth = 0; depth < 16; depth++) {
    const disk = diskOf(at);
    const loop = join(sysfs(at), 'loop');
    const backing = disk === undefined ? read(join(loop, 'backing_file')) : undefined;
    const under = backing === undefined ? undefined : identify(backing);
    if (disk !== undefined) {
      offset += sectorsAt(join(sysfs(at), 'start'));
      at = disk;
    } else if (under !== undefined) {
      offset += Number(read(join(loop, 'offset')) ?? 0);
      if (under.kind === 'file') return { ids, key: under.key, offset };
      at = under.id;
    } else {
      break;
    }
    ids.push(at);
  }
  return { ids, key: `block:${at}`, offset };
}

/** Where `length` bytes of a device from `start` on lie in the end. */
export function extentOf(probe: DeviceProbe, start: number, length: number): Extent {
  if (probe.kind === 'file') return { key: `file:${probe.dev}:${probe.inode}`, start, end: start + length };
  const { key, offset } = layersOf(majorMinor(probe.rdev));
  return { key, start: offset + start, end: offset + start + length };
}

interface Loop {
  readonly id: string;
  readonly name: string;
  readonly backing: string;
  /** Bytes. */
  readonly size: number;
}

function loops(): readonly Loop[] {
  return list('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      const folder = join('/sys/block', name);
      const backing = read(join(folder, 'loop', 'backing_file'));
      const id = read(join(folder, 'dev'));
      if (backing === undefined || id === undefined) return [];
      return [{ id, name, backing, size: sectorsAt(join(folder, 'size')) }];
    });
}

/** By `MAJOR:MINOR` or `file:DEV:INODE`: how it is used. */
function mountsAndSwaps(table: readonly MountEntry[]): ReadonlyMap<string, string> {
  const uses = new Map<string, string>();
  const keyOf = (path: string): string | undefined => {
    const found = identify(path);
    return found?.kind === 'block' ? found.id : found?.key;
  };
  for (const { device, mountpoint, source } of table) {
    const use = `is mounted on ${mountpoint}: unmount it first`;
    if (!uses.has(device)) uses.set(device, use);
    // btrfs and others have a device number of their own; the source tells the disk.
    const key = source.startsWith('/dev/') ? keyOf(source) : undefined;
    if (key !== undefined && !uses.has(key)) uses.set(key, use);
  }
  for (const line of (read('/proc/swaps') ?? '').split('\n').slice(1)) {
    const path = line.split(/\s+/)[0]?.replaceAll('\\040', ' ');
    const key = path === undefined || path === '' ? undefined : keyOf(path);
    if (key !== undefined) uses.set(key, 'is used as swap: swapoff it first');
  }
  return uses;
}

/** One look at what is mounted, swapped to and looped on this machine. */
export class SystemDevices {
  readonly #mounts = mounts();
  readonly #loops = loops();
  readonly #uses = mountsAndSwaps(this.#mounts);

  /** Why a device may not be used, as far as the system tells without opening it; undefined: nothing is known against it. */
  useOf(probe: DeviceProbe): string | undefined {
    const all = extentOf(probe, 0, probe.sizeBytes);
    if (probe.kind === 'file') {
      const use = this.#uses.get(all.key);
      return use === undefined ? this.#useByLoops(all, []) : `it ${use}`;
    }
    const id = majorMinor(probe.rdev);
    const disk = diskOf(id);
    for (const related of [id, ...partitionsOf(id), ...(disk === undefined ? [] : [disk])]) {
      const use = this.#useOfBlock(related);
      if (use !== undefined) return use;
    }
    return this.#useByLoops(all, layersOf(id).ids);
  }

  #useOfBlock(id: string): string | undefined {
    const use = this.#uses.get(id);
    if (use !== undefined) return `${nameOf(id)} ${use}`;
    const holder = list(join(sysfs(id), 'holders'))[0];
    return holder === undefined ? undefined : `${nameOf(id)} is part of ${holder}: take it out of that first`;
  }

  /** Loop devices over the same bytes: set up on the device itself, or in use by another way to them. */
  #useByLoops(all: Extent, ids: readonly string[]): string | undefined {
    for (const loop of this.#loops) {
      if (ids.includes(loop.id) || !this.#mayShare(loop.backing, all.key)) continue;
      const { ids: under, key, offset } = layersOf(loop.id);
      if (!overlap(all, { key, start: offset, end: offset + loop.size })) continue;
      const [own] = ids;
      if (own === undefined || under.includes(own))
        return `the loop device ${loop.name} is set up on it: losetup -d /dev/${loop.name} first`;
      for (const related of [loop.id, ...partitionsOf(loop.id)]) {
        const use = this.#useOfBlock(related);
        if (use !== undefined) return `its data is that of ${loop.name}, and ${use}`;
      }
    }
    return undefined;
  }

  /** False: a look at the backing file is not needed, and not made: it lies in a FUSE mount that holds none of our files. */
  #mayShare(backing: string, key: string): boolean {
    const mount = this.#mounts
      .filter(({ mountpoint }) => mountpoint === '/' || `${backing}/`.startsWith(`${mountpoint}/`))
      .sort((a, b) => a.mountpoint.length - b.mountpoint.length)
      .at(-1);
    if (mount?.type.startsWith('fuse') !== true) return true;
    const [kind, dev] = key.split(':');
    return kind === 'file' && dev !== undefined && majorMinor(dev) === mount.device;
  }
}
