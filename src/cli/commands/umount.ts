import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { DmiofsError, messageOf } from '../../errors.js';
import { askMount } from '../../fuse/mount-lock.js';
import { type NativeBinding, native } from '../../native/binding.js';
import { dmiofsMountOn, mounts } from '../../util/mountinfo.js';
import { isRunning } from '../../util/process.js';
import { sleep } from '../../util/timeout.js';
import { defineCommand } from '../command.js';

const ANSWER_MS = 5000;
const POLL_MS = 20;
/** After this it is said what is waited for. */
const PATIENCE_MS = 10_000;

/** umount2(2) as root; fusermount for others, which may unmount what they have mounted. */
async function unmount(binding: NativeBinding, mountpoint: string): Promise<void> {
  if (process.geteuid?.() === 0) {
    await binding.umount(mountpoint, false);
    return;
  }
  for (const program of ['fusermount3', 'fusermount']) {
    try {
      execFileSync(program, ['-u', '--', mountpoint], { stdio: ['ignore', 'ignore', 'pipe'] });
      return;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue;
      throw new DmiofsError('ERR_DMIOFS_BUSY', messageOf(error), { cause: error });
    }
  }
  throw new DmiofsError('ERR_DMIOFS_MOUNT', 'neither root nor fusermount3 is here: nobody may unmount');
}

export const umountCommand = defineCommand<{ mountpoint: string }>({
  command: 'umount <mountpoint>',
  describe: 'flush, mark clean, unmount; returns when the daemon has ended',
  builder: (yargs) =>
    yargs.positional('mountpoint', { type: 'string', demandOption: true, describe: 'where it is mounted' }),
  handler: async ({ mountpoint: given }) => {
    const binding = native();
    let mountpoint = resolve(given);
    try {
      mountpoint = realpathSync(mountpoint);
    } catch {
      // A dead mount cannot be looked up.
    }
    const mounted = dmiofsMountOn(mountpoint);
    if (mounted === undefined) {
      throw new DmiofsError(
        'ERR_DMIOFS_NOT_MOUNTED',
        `nothing of dmiofs is mounted on ${mountpoint}; dmiofs status lists the mounts`,
      );
    }
    const status = await askMount(binding, mountpoint, ANSWER_MS).catch((error: unknown) => {
      process.stderr.write(`dmiofs: ${messageOf(error)}: unmounting all the same\n`);
      return undefined;
    });
    try {
      await unmount(binding, mountpoint);
    } catch (error) {
      const busy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
      if (busy) {
        throw new DmiofsError(
          'ERR_DMIOFS_BUSY',
          `${mountpoint} is in use: close its files first (fuser -m ${mountpoint} names who has them open; losetup -a lists loop devices)`,
          { cause: error },
        );
      }
      // Somebody else may have been quicker; the daemon is waited for all the same.
      if (dmiofsMountOn(mountpoint) !== undefined) throw error;
    }
    // The daemon flushes and marks the sets clean after the session has ended.
    const start = performance.now();
    let told = false;
    while (status !== undefined && isRunning(status.pid)) {
      // A bind mount: the daemon goes on with the other one.
      if (mounts().some(({ device }) => device === mounted.device)) return;
      if (!told && performance.now() - start > PATIENCE_MS) {
        told = true;
        process.stderr.write(
          `dmiofs: waiting for the daemon, pid ${String(status.pid)}: a device does not answer, or another mount namespace has the mount too\n`,
        );
      }
      await sleep(POLL_MS);
    }
  },
});
