// Mounts, as /proc/self/mountinfo has them.
import { readFileSync } from 'node:fs';
import { run } from './processes.mjs';

export const isMounted = (path) =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === path);

/** Unmounts it if it is mounted; detaches it when it is busy. */
export async function unmount(path) {
  if (!isMounted(path)) return;
  await run('umount', [path], { timeout: 20_000 }).catch(() => run('umount', ['-l', path]));
}
