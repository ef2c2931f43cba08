/**
 * One daemon a mountpoint: a file with the daemon's pid in the state directory, and what is found at the mountpoint itself.
 * A mount of a daemon that died is taken away; one that lives is refused.
 */
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DmiofsError, messageOf } from '../errors.js';
import { type MountSummary, parseStatus } from '../mirror/status.js';
import type { NativeBinding } from '../native/binding.js';
import { dmiofsMountOn } from '../util/mountinfo.js';
import { isRunning } from '../util/process.js';
import { sleep, within } from '../util/timeout.js';

/** How long a daemon that has been unmounted is waited for: it flushes, and marks its sets clean. */
const FORMER_MS = 10_000;
const POLL_MS = 20;

/** A name for files that belong to a mountpoint. */
export function mountKey(mountpoint: string): string {
  const readable = mountpoint
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(-40);
  return `${readable}-${createHash('sha256').update(mountpoint).digest('hex').slice(0, 8)}`;
}

/** Whether a daemon of ours runs by this pid: a pid may be another program's by now. */
function isDaemon(pid: number): boolean {
  if (!isRunning(pid)) return false;
  try {
    const args = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0');
    return args.includes('mount') && args.some((arg) => arg.includes('dmiofs') || arg.endsWith('/run.js'));
  } catch {
    return true;
  }
}

const lockFile = (stateDir: string, mountpoint: string): string =>
  join(stateDir, 'run', `${mountKey(mountpoint)}.pid`);

/**
 * `umount MOUNTPOINT; mount MOUNTPOINT`: umount(8) returns while the daemon still flushes. Returns when that one has ended, serves after all, or
 * does not end: the lock then says what is wrong.
 */
export async function waitForFormer(stateDir: string, mountpoint: string): Promise<void> {
  const end = performance.now() + FORMER_MS;
  while (performance.now() < end && dmiofsMountOn(mountpoint) === undefined) {
    let owner: number;
    try {
      owner = Number(readFileSync(lockFile(stateDir, mountpoint), 'utf8'));
    } catch {
      return;
    }
    if (!Number.isInteger(owner) || owner <= 0 || !isDaemon(owner)) return;
    await sleep(POLL_MS);
  }
}

export class MountLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  static take(stateDir: string, mountpoint: string): MountLock {
    const file = lockFile(stateDir, mountpoint);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const mine = `${file}.${String(process.pid)}`;
    writeFileSync(mine, `${String(process.pid)}\n`, { mode: 0o600 });
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        try {
          linkSync(mine, file);
          return new MountLock(file);
        } catch (error) {
          if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
        }
        const owner = Number(readFileSync(file, 'utf8'));
        if (Number.isInteger(owner) && owner > 0 && isDaemon(owner)) {
          throw new DmiofsError(
            'ERR_DMIOFS_MOUNT',
            `${mountpoint} is being served or mounted already by pid ${String(owner)}`,
          );
        }
        rmSync(file, { force: true });
      }
      throw new DmiofsError('ERR_DMIOFS_MOUNT', `${mountpoint}: another daemon is starting on it`);
    } finally {
      rmSync(mine, { force: true });
    }
  }

  release(): void {
    try {
      if (Number(readFileSync(this.#file, 'utf8')) === process.pid) rmSync(this.#file, { force: true });
    } catch {
      // Gone already.
    }
  }
}

/** The status that a mount tells of itself; undefined: its daemon is dead. Throws when it does not answer. */
export async function askMount(
  binding: Pick<NativeBinding, 'getXattr'>,
  mountpoint: string,
  milliseconds: number,
): Promise<MountSummary | undefined> {
  try {
    const value = await within(
      milliseconds,
      `asking ${mountpoint}`,
      binding.getXattr(mountpoint, 'user.dmio.json'),
    );
    return parseStatus<MountSummary>(value.toString('utf8'), 'sets');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOTCONN' || code === 'ECONNABORTED') return undefined;
    throw error;
  }
}

/** Makes sure that nothing of ours is mounted there: a dead mount is detached, a living one refused. Then that it is a folder. */
export async function clearMountpoint(binding: NativeBinding, mountpoint: string): Promise<void> {
  for (let depth = 0; depth < 16 && dmiofsMountOn(mountpoint) !== undefined; depth++) {
    const living = await askMount(binding, mountpoint, 5000);
    if (living !== undefined) {
      throw new DmiofsError(
        'ERR_DMIOFS_MOUNT',
        `${living.config} is already mounted on ${mountpoint} by pid ${String(living.pid)}`,
      );
    }
    await binding.umount(mountpoint, true);
  }
  checkMountpoint(mountpoint);
}

/** A folder that exists; nothing dead is mounted there. */
export function checkMountpoint(mountpoint: string): void {
  let isFolder = false;
  try {
    isFolder = statSync(mountpoint).isDirectory();
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new DmiofsError(
      'ERR_DMIOFS_MOUNT',
      missing
        ? `the mountpoint ${mountpoint} does not exist: make it first (mkdir -p ${mountpoint})`
        : `the mountpoint ${mountpoint} cannot be used: ${messageOf(error)}`,
      { cause: error },
    );
  }
  if (!isFolder) throw new DmiofsError('ERR_DMIOFS_MOUNT', `the mountpoint ${mountpoint} is not a folder`);
}
