/** The commands that steer a set, as a user gets them wrong: what is said, and that nothing has changed. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canMount, dmiofs, must, DMIOFS, type OneSet, oneSet } from '../helpers/mounted.js';

let one: OneSet;

describe.skipIf(!canMount)('the commands that steer a set', () => {
  beforeEach(async () => {
    one = await oneSet();
  });
  afterEach(async () => {
    await one.scene.close();
  });

  it('say what is wrong and what would be right, and change nothing', async () => {
    const { file, mountpoint } = one;
    const before = await one.scene.set(file);
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['fail', file, '2'], /there is no leg "2": data has legs 0 to 1/],
      [['re-add', file, '63'], /there is no leg "63"/],
      [['clear', file, ''], /there is no leg ""/],
      [['fail', file, '0 1'], /there is no leg "0 1"/],
      [['re-add', file, '0'], /in use already/],
      [['speed', file], /give --min RATE, --max RATE or both/],
      [['speed', file, '--max', 'fast'], /--max: "fast" is no rate/],
      [['speed', file, '--min', '2M', '--max', '1M'], /the minimum, 2MiB, is above the maximum, 1MiB/],
      [['speed', file, '--max', '1M', '--max', '2M'], /--max is given twice: 1M, 2M/],
      [['pause', mountpoint], /is a mountpoint: name a set's file/],
      [['pause', join(mountpoint, 'none')], /there is no set "none"/],
      [['fail', join(mountpoint, 'none'), '0'], /there is no set "none"/],
      [['pause', one.scene.path('leg0.img')], /dmiofs status lists the mounts/],
    ];
    for (const [args, reason] of cases) {
      const { code, stdout, stderr } = await dmiofs(...args);
      expect([args, stderr]).toEqual([args, expect.stringMatching(reason)]);
      expect([args, code, stdout]).toEqual([args, 1, '']);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
    const after = await one.scene.set(file);
    expect({ ...after, legs: [], in_flight: 0 }).toEqual({ ...before, legs: [], in_flight: 0 });
    expect(after.legs.map(({ state }) => state)).toEqual(['in-sync', 'in-sync']);
  });

  it('keep pauses and limits over a restart, also those that say: no limit', async () => {
    const { scene, file, mountpoint, config } = one;
    for (const [args, kept] of [
      [['--max', '1MiB'], { min: 1048576, max: 1048576 }],
      [['--min', '0', '--max', '0'], { min: 0, max: 0 }],
      [['--min', '2k', '--max', '10MB'], { min: 2048, max: 10_000_000 }],
    ] as const) {
      await must(DMIOFS, 'speed', file, ...args);
      await must(DMIOFS, 'pause', file);
      expect((await scene.set(file)).sync).toMatchObject({ ...kept, paused: true });
      await scene.umount(mountpoint);
      await scene.mount(config, mountpoint);
      expect((await scene.set(file)).sync).toMatchObject({ ...kept, paused: true });
    }
    await must(DMIOFS, 'resume', file);
    expect((await scene.set(file)).sync.paused).toBe(false);
  });

  it('tell a daemon that has died from one that refuses', async () => {
    process.kill((await one.scene.status(one.mountpoint)).pid, 'SIGKILL');
    const { code, stderr } = await dmiofs('pause', one.file);
    expect(code).toBe(1);
    expect(stderr).toMatch(/has died: dmiofs mount mounts it again/);
  });
});
