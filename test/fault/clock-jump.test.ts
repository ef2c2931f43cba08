/** The wall clock jumps an hour forth and back under a load, a resync and a deadline: nothing takes notice but the times that are told. */
import { statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import {
  canMount,
  DMIOFS,
  legsEqual,
  MIB,
  must,
  type OneSet,
  oneSet,
  run,
  until,
} from '../helpers/mounted.js';

const SOURCE = fileURLToPath(new URL('./clock-jump.c', import.meta.url));
const HOUR = 3600;
const compiler = (await run('cc', ['--version'])).code === 0;

let open: OneSet | undefined;
afterEach(async () => {
  await open?.scene.close();
  open = undefined;
});

describe.skipIf(!canMount || !compiler)('a clock that jumps', () => {
  it('fails nothing and holds nothing up', async () => {
    const one = await oneSet({ set: { io_timeout: '1s', log: { region_size: '64KiB' } } });
    open = one;
    const { scene, file, mountpoint } = one;
    await scene.umount(mountpoint);
    const [library, jumpFile] = [scene.path('clock-jump.so'), scene.path('jump')];
    await must('cc', '-shared', '-fPIC', '-O1', '-o', library, SOURCE);
    const jump = (seconds: number): void => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(seconds));
      writeFileSync(jumpFile, bytes, { flag: 'a+' });
      writeFileSync(jumpFile, bytes, { flag: 'r+' });
    };
    jump(0);
    const hang = [{ device: one.legs[1], action: 'hang', ops: ['write'], skip: 400 }];
    const made = await run(DMIOFS, ['mount', one.config, mountpoint, '--fault-rules', JSON.stringify(hang)], {
      env: { LD_PRELOAD: library, CLOCK_JUMP_FILE: jumpFile },
    });
    expect(made.code, made.stderr).toBe(0);
    await scene.adopt(mountpoint);
    const write = (from: number, count: number): Promise<string> =>
      must(
        'dd',
        'if=/dev/urandom',
        `of=${file}`,
        'bs=64k',
        `seek=${String(from)}`,
        `count=${String(count)}`,
        'oflag=direct',
        'conv=notrunc',
        'status=none',
      );
    const leg = async (index: number) => (await scene.set(file)).legs[index];
    /** Seconds between the file's time and what the daemon's clock shows now. */
    const age = (seconds: number): number =>
      Math.abs(Date.now() / 1000 + seconds - statSync(file).mtimeMs / 1000);

    // A resync, over jumps both ways.
    await must(DMIOFS, 'fail', file, '1');
    await write(0, 64);
    await must(DMIOFS, 'speed', file, '--min', '1MiB', '--max', '2MiB');
    await must(DMIOFS, 're-add', file, '1');
    for (const seconds of [HOUR, -HOUR]) {
      jump(seconds);
      await write(200, 4);
      expect(age(seconds)).toBeLessThan(60);
      const { sync } = await scene.set(file);
      expect(sync.action).toBe('recover');
      expect(sync.speed).toBeLessThan(64 * MIB);
      expect(sync.eta).toBeLessThan(HOUR / 2);
    }
    await must(DMIOFS, 'speed', file, '--min', '64MiB', '--max', '0');
    await must(DMIOFS, 'wait', file);
    expect((await scene.set(file)).state).toBe('complete');

    // A deadline: the leg hangs while the clock jumps, and is out after its second, not after an hour.
    const writing = (async () => {
      for (let round = 0; round < 8; round++) await write(0, 100);
    })();
    for (let round = 0; (await leg(1))?.state === 'in-sync' && round < 100; round++)
      jump(round % 2 === 0 ? HOUR : -HOUR);
    await writing;
    jump(-HOUR);
    await until('the leg is out', async () => (await leg(1))?.state === 'failed' || undefined);
    const last = (await leg(1))?.last_error;
    expect(last?.errno).toBe('ETIMEDOUT');
    expect(Math.abs((last?.time ?? 0) - Date.now() / 1000)).toBeLessThan(HOUR + 60);
    expect((await leg(0))?.state).toBe('in-sync');

    // What was written is there; clean sync regions are told from others by a clock that does not jump.
    await must('cmp', file, one.legs[0] ?? '');
    await scene.umount(mountpoint);
    await scene.mount(one.config, mountpoint);
    await must(DMIOFS, 're-add', file, '1');
    await must(DMIOFS, 'wait', file);
    await scene.umount(mountpoint);
    expect(legsEqual(one)).toBe(true);
  });
});
