/** /proc/self/mountinfo: what is mounted where. */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  /** `MAJOR:MINOR` of the file system. */
  readonly device: string;
  /** What of the file system is seen there: `/`, or the path in it that was bound. */
  readonly root: string;
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
    const [device, root, mountpoint] = [fields[2], fields[3], fields[4]];
    const [type, source] = [fields[separator + 1], fields[separator + 2]];
    if (separator < 0 || device === undefined || root === undefined) return [];
    if (mountpoint === undefined || type === undefined) return [];
    const [seen, at] = [unescape(root), unescape(mountpoint)];
    return [{ device, root: seen, mountpoint: at, type, source: unescape(source ?? '') }];
  });
}

export function mounts(): readonly MountEntry[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

const FUSE_TYPE = 'fuse.dmiofs';

/** Not one file of it that was bound to another place. */
const isWhole = ({ type, root }: MountEntry): boolean => type === FUSE_TYPE && root === '/';

/** The topmost dmiofs mount on a folder. */
export function dmiofsMountOn(mountpoint: string): MountEntry | undefined {
  const top = mounts().findLast((entry) => entry.mountpoint === mountpoint);
  return top !== undefined && isWhole(top) ? top : undefined;
}

/** The mount, and the name in it, of a file of dmiofs that was bound to `path`. */
export function dmiofsFileBoundTo(path: string): { mountpoint: string; name: string } | undefined {
  const all = mounts();
  const top = all.findLast((entry) => entry.mountpoint === path);
  if (top?.type !== FUSE_TYPE || isWhole(top)) return undefined;
  const whole = all.find((entry) => entry.device === top.device && isWhole(entry));
  return whole === undefined ? undefined : { mountpoint: whole.mountpoint, name: top.root.slice(1) };
}

export function dmiofsMounts(): readonly MountEntry[] {
  return mounts().filter(isWhole);
}
