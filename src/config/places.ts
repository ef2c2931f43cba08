/** Paths of a config where something is, or is to be made: what can be told of them without opening anything. */
import { accessSync, constants, lstatSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

/** The real path as far as it exists. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), path.slice(parent.length).replace(/^\/+/, ''));
  }
}

export function isUnder(path: string, folder: string): boolean {
  const way = relative(realPath(folder), realPath(path));
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith('/'));
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Why a folder cannot be used, or made, for writing. */
export function whyNoFolder(path: string): string | undefined {
  const stat = look(path);
  if (stat === undefined) {
    const parent = dirname(path);
    return parent === path ? undefined : whyNoFolder(parent);
  }
  if (!stat.isDirectory()) return `${path} is not a folder`;
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch {
    return `${path} cannot be written`;
  }
}

/**
 * Why a folder that exists must not hold a set's state: someone else could put other files in the place of ours. Undefined also when there is
 * nothing yet.
 */
export function whyNotPrivate(path: string, uid = process.geteuid?.() ?? 0): string | undefined {
  const stat = look(path);
  if (stat === undefined) return undefined;
  if (stat.uid !== uid && stat.uid !== 0) return `${path} belongs to user ${String(stat.uid)}`;
  return (stat.mode & 0o022) === 0
    ? undefined
    : `${path} can be written by others (mode ${(stat.mode & 0o7777).toString(8).padStart(4, '0')})`;
}

function isDangling(path: string): boolean {
  try {
    return look(path) === undefined && lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

/** Why a path where nothing is cannot become a file: it names what only the system makes. */
export function whyNoFile(path: string): string | undefined {
  if (isDangling(path)) return 'is a symbolic link to nothing';
  return isUnder(path, '/dev') && !isUnder(path, '/dev/shm')
    ? 'does not exist: a disk that is not there is not made into a file under /dev'
    : undefined;
}

/** Why no image file can be made at a path where nothing is. */
export function whyNoImage(path: string): string | undefined {
  const folder = dirname(path);
  const reason = whyNoFile(path);
  if (reason !== undefined) return reason;
  if (look(folder)?.isDirectory() !== true) return `cannot be made: there is no folder ${folder}`;
  const closed = whyNoFolder(folder);
  return closed === undefined ? undefined : `cannot be made: ${closed}`;
}
