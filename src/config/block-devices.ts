/** What sysfs and procfs say of block devices: what lies on what, and what is in use. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DeviceProbe } from '../native/binding.js';

/** Bytes of one underlying file or disk, whatever names and layers lead to them. */
export interface Extent {
  /** `file:DEV:INODE` or `block:MAJOR:MINOR`. */
  readonly key: string;
  /** Bytes. */
  readonly start: number;
  readonly end: number;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** `MAJOR:MINOR` of a st_rdev (makedev(3)). */
export function majorMinor(rdev: string): string {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  return `${String(major)}:${String(minor)}`;
}

const sysfs = (id: string): string => `/sys/dev/block/${id}`;

/** The whole disk of a partition. */
function parentOf(id: string): string | undefined {
  if (read(join(sysfs(id), 'partition')) === undefined) return undefined;
  try {
    return read(join(realpathSync(sysfs(id)), '..', 'dev'));
  } catch {
    return undefined;
  }
}

function fileKey(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    return `file:${String(stat.dev)}:${String(stat.ino)}`;
  } catch {
    return undefined;
  }
}

/** Follows partitions to their disk and loop devices to their file. */
export function extentOf(probe: DeviceProbe, start: number, length: number): Extent {
  if (probe.kind === 'file') {
    return { key: `file:${probe.dev}:${probe.inode}`, start, end: start + length };
  }
  let id = majorMinor(probe.rdev);
  let at = start;
  for (let depth = 0; depth < 8; depth++) {
    const parent = parentOf(id);
    if (parent !== undefined) {
      at += Number(read(join(sysfs(id), 'start')) ?? 0) * 512;
      id = parent;
      continue;
    }
    const backing = read(join(sysfs(id), 'loop', 'backing_file'));
    const key = backing === undefined ? undefined : fileKey(backing);
    if (key !== undefined) {
      at += Number(read(join(sysfs(id), 'loop', 'offset')) ?? 0);
      return { key, start: at, end: at + length };
    }
    break;
  }
  return { key: `block:${id}`, start: at, end: at + length };
}

export const overlap = (a: Extent, b: Extent): boolean =>
  a.key === b.key && a.start < b.end && b.start < a.end;

function partitionsOf(id: string): string[] {
  try {
    return readdirSync(sysfs(id))
      .map((name) =>
        read(join(sysfs(id), name, 'partition')) === undefined
          ? undefined
          : read(join(sysfs(id), name, 'dev')),
      )
      .filter((dev) => dev !== undefined);
  } catch {
    return [];
  }
}

/** Loop devices over a file, `MAJOR:MINOR` and name. */
function loopsOver(key: string): readonly { readonly id: string; readonly name: string }[] {
  try {
    return readdirSync('/sys/block')
      .filter((name) => name.startsWith('loop'))
      .flatMap((name) => {
        const backing = read(join('/sys/block', name, 'loop', 'backing_file'));
        const id = read(join('/sys/block', name, 'dev'));
        return backing !== undefined && id !== undefined && fileKey(backing) === key ? [{ id, name }] : [];
      });
  } catch {
    return [];
  }
}

function mountOf(id: string): string | undefined {
  for (const line of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    const fields = line.split(' ');
    if (fields[2] === id)
      return fields[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
  }
  return undefined;
}

function swapOn(id: string): boolean {
  return (read('/proc/swaps') ?? '')
    .split('\n')
    .slice(1)
    .some((line) => {
      const path = line.split(/\s+/)[0];
      if (path === undefined || path === '') return false;
      try {
        const stat = statSync(path, { bigint: true });
        return stat.isBlockDevice() && majorMinor(String(stat.rdev)) === id;
      } catch {
        return false;
      }
    });
}

function holderOf(id: string): string | undefined {
  try {
    return readdirSync(join(sysfs(id), 'holders'))[0];
  } catch {
    return undefined;
  }
}

function useOfBlock(id: string): string | undefined {
  const name = (): string => basename(realpathSync(sysfs(id)));
  const mounted = mountOf(id);
  if (mounted !== undefined) return `${name()} is mounted on ${mounted}: unmount it first`;
  if (swapOn(id)) return `${name()} is used as swap: swapoff it first`;
  const holder = holderOf(id);
  return holder === undefined ? undefined : `${name()} is part of ${holder}: take it out of that first`;
}

/** Why a device may not be used, as far as the system tells without opening it; undefined: nothing is known against it. */
export function useOf(probe: DeviceProbe): string | undefined {
  if (probe.kind === 'file') {
    const [loop] = loopsOver(`file:${probe.dev}:${probe.inode}`);
    return loop === undefined
      ? undefined
      : `the loop device ${loop.name} is set up on it: losetup -d /dev/${loop.name} first`;
  }
  const id = majorMinor(probe.rdev);
  const parent = parentOf(id);
  for (const related of [id, ...partitionsOf(id), ...(parent === undefined ? [] : [parent])]) {
    const use = useOfBlock(related);
    if (use !== undefined) return use;
  }
  return undefined;
}
