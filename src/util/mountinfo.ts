/** /proc/self/mountinfo: what is mounted where. */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  /** `MAJOR:MINOR` of the file system. */
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
  readonly source: string;
}

const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

export function parseMountInfo(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const separator = fields.indexOf('-');
    const [device, mountpoint] = [fields[2], fields[4]];
    const [type, source] = [fields[separator + 1], fields[separator + 2]];
    if (separator < 0 || device === undefined || mountpoint === undefined || type === undefined) return [];
    return [{ device, mountpoint: unescape(mountpoint), type, source: unescape(source ?? '') }];
  });
}

export function mounts(): readonly MountEntry[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

export const FUSE_TYPE = 'fuse.dmiofs';

/** The topmost dmiofs mount on a folder. */
export function dmiofsMountOn(mountpoint: string): MountEntry | undefined {
  const top = mounts().findLast((entry) => entry.mountpoint === mountpoint);
  return top?.type === FUSE_TYPE ? top : undefined;
}

export function dmiofsMounts(): readonly MountEntry[] {
  return mounts().filter((entry) => entry.type === FUSE_TYPE);
}
