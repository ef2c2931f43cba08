/** A file system on a set: by a loop device over its file, and then by each leg alone. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, legsEqual, MIB, must, type OneSet, oneSet, run, sh } from '../helpers/mounted.js';

const hasExt4 = existsSync('/sbin/mkfs.ext4') || existsSync('/usr/sbin/mkfs.ext4');
let open: OneSet | undefined;

/** Folders and files of many sizes, with a few taken away again, and their sums. */
async function fill(folder: string): Promise<string> {
  await sh(`
    cd ${folder}
    for i in $(seq 1 40); do
      mkdir -p d$((i % 5))
      head -c $((i * i * 700)) /dev/urandom > d$((i % 5))/f$i
    done
    rm d1/f6 d2/f7
    truncate -s 3M d0/hole; printf end >> d0/hole
    ln -s f5 d0/link; ln d0/f5 d0/hard; setfattr -n user.note -v kept d0/f5`);
  return sums(folder);
}

const sums = (folder: string): Promise<string> =>
  sh(
    `cd ${folder} && find . -path ./lost+found -prune -o \\( -type f -o -type l \\) -print0 | sort -z | xargs -0 sha256sum`,
  );

describe.skipIf(!canMount || !hasExt4)('ext4 on a set', () => {
  afterEach(async () => {
    await open?.scene.close();
    open = undefined;
  });

  it.each([
    ['of two legs', { legs: 2 }, []],
    ['of three legs, by a direct loop device', { legs: 3 }, ['--direct-io=on']],
    ['of two legs, written back by the page cache', { legs: 2, set: { cache: 'writeback' } }, []],
  ] as const)(
    '%s: is sound, and each leg by itself holds the same files',
    async (_shape, options, loopOptions) => {
      const one = await oneSet({ ...options, bytes: 48 * MIB });
      open = one;
      const { scene } = one;
      const loop = await scene.loop(one.file, ...loopOptions);
      await must('mkfs.ext4', '-q', '-F', loop);
      const inner = scene.folder('inner');
      await must('mount', loop, inner);
      const files = await fill(inner);
      expect(files.split('\n').length).toBeGreaterThan(30);
      await must('fstrim', inner);
      expect(await sums(inner)).toBe(files);
      await must('umount', inner);
      // Read again through the mount, not from a cache.
      await must('mount', '-o', 'ro', loop, inner);
      expect(await sums(inner)).toBe(files);
      await must('umount', inner);
      await must('fsck.ext4', '-f', '-n', loop);
      await scene.dropLoop(loop);
      await scene.umount(one.mountpoint);
      expect(legsEqual(one)).toBe(true);

      for (const leg of one.legs) {
        const alone = await scene.loop(leg, '--read-only');
        await must('fsck.ext4', '-f', '-n', alone);
        await must('mount', '-o', 'ro', alone, inner);
        expect(await sums(inner), leg).toBe(files);
        await must('umount', inner);
        await scene.dropLoop(alone);
      }
    },
  );

  it('goes on when a leg fails below it, and is whole on the legs that are left and on the one that comes back', async () => {
    const one = await oneSet({ bytes: 48 * MIB, set: { log: { region_size: '64KiB' } } });
    open = one;
    const { scene } = one;
    await scene.umount(one.mountpoint);
    const rules = JSON.stringify([{ action: 'error', device: one.legs[0], ops: ['write'], skip: 30 }]);
    await scene.mount(one.config, one.mountpoint, '--fault-rules', rules);
    const loop = await scene.loop(one.file, '--direct-io=on');
    await must('mkfs.ext4', '-q', '-F', loop);
    const inner = scene.folder('inner');
    await must('mount', loop, inner);
    const files = await fill(inner);
    await must('umount', inner);
    expect((await scene.set(one.file)).legs.map(({ state }) => state)).toEqual(['failed', 'in-sync']);
    await must('fsck.ext4', '-f', '-n', loop);
    await scene.dropLoop(loop);
    await scene.umount(one.mountpoint);

    await scene.mount(one.config, one.mountpoint);
    await must(DMIOFS, 're-add', one.file, '0');
    await must(DMIOFS, 'wait', '--timeout', '60s', one.file);
    await scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
    const alone = await scene.loop(one.legs[0] ?? '', '--read-only');
    await must('mount', '-o', 'ro', alone, inner);
    expect(await sums(inner)).toBe(files);
    await must('umount', inner);
  });

  it('is sound after its journal is played back, when the daemon was killed', async () => {
    const one = await oneSet({ bytes: 48 * MIB, set: { log: { region_size: '64KiB' } } });
    open = one;
    const { scene } = one;
    const loop = await scene.loop(one.file, '--direct-io=on');
    await must('mkfs.ext4', '-q', '-F', loop);
    const inner = scene.folder('inner');
    await must('mount', loop, inner);
    await sh(
      `cd ${inner} && for i in $(seq 1 20); do head -c 50000 /dev/urandom > synced$i; done && sync -f .`,
    );
    const files = await sums(inner);
    writeFileSync(join(inner, 'unsynced'), Buffer.alloc(300_000, 'x'));
    const { pid } = await scene.status(one.mountpoint);
    process.kill(pid, 'SIGKILL');
    await run('umount', [inner]);
    await scene.dropLoop(loop);
    await scene.mount(one.config, one.mountpoint);
    await must(DMIOFS, 'wait', '--timeout', '60s', one.file);
    const again = await scene.loop(one.file, '--direct-io=on');
    await must('mount', again, inner);
    expect(readdirSync(inner).filter((name) => name.startsWith('synced'))).toHaveLength(20);
    await sh(`rm -f ${inner}/unsynced`);
    expect(await sums(inner)).toBe(files);
    await must('umount', inner);
    await must('fsck.ext4', '-f', '-n', again);
    await scene.dropLoop(again);
    await scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });
});
