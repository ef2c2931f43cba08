/** The mounted file under ordinary tools, by the real command line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, legsEqual, MIB, must, type OneSet, oneSet, run, sh } from '../helpers/mounted.js';

let open: OneSet | undefined;
const mounted = async (...args: Parameters<typeof oneSet>): Promise<OneSet> => {
  open = await oneSet(...args);
  return open;
};

afterEach(async () => {
  await open?.scene.close();
  open = undefined;
});

describe.skipIf(!canMount)('a set under ordinary tools', () => {
  it('takes dd of odd sizes and offsets, buffered and direct', async () => {
    const set = await mounted();
    const model = set.scene.image('model', set.bytes);
    for (const [bs, count, seek, flags] of [
      [512, 3, 5, ''],
      [1000, 7, 3, ''],
      [4096, 16, 9, 'oflag=direct'],
      [65536, 5, 11, 'oflag=direct'],
      [1, 13, 7001, ''],
      [100_003, 3, 2, ''],
      [1048576, 4, 7, 'conv=notrunc,fsync'],
    ] as const) {
      const source = set.scene.path('piece');
      await sh(`head -c ${String(bs * count)} /dev/urandom > ${source}`);
      for (const target of [set.file, model]) {
        const how = flags.startsWith('oflag') && target === model ? '' : flags;
        await sh(
          `dd if=${source} of=${target} bs=${String(bs)} seek=${String(seek)} conv=notrunc ${how} status=none`,
        );
      }
    }
    await must('cmp', set.file, model);
    await sh(`dd if=${set.file} iflag=direct bs=64k status=none | cmp - ${model}`);
    expect(legsEqual(set)).toBe(true);
  });

  it('takes cp in and out, sparse files too, and rsync --inplace', async () => {
    const set = await mounted();
    const image = set.scene.image('disk.img', set.bytes);
    await sh(
      `head -c ${String(3 * MIB)} /dev/urandom > ${set.scene.path('head')}; dd if=${set.scene.path('head')} of=${image} bs=1M seek=5 conv=notrunc status=none`,
    );
    await sh(`head -c ${String(set.bytes)} /dev/urandom > ${set.file}`);
    await must('cp', image, set.file);
    await must('cmp', image, set.file);
    const back = set.scene.path('back.img');
    await must('cp', set.file, back);
    await must('cmp', image, back);
    expect(await must('sha256sum', set.file)).toContain((await must('sha256sum', image)).split(' ')[0]);
    await sh(`printf changed | dd of=${image} bs=1 seek=777777 conv=notrunc status=none`);
    // Size and time alone may say that nothing changed.
    await must('rsync', '--inplace', '--ignore-times', image, set.file);
    await must('cmp', image, set.file);
    expect(legsEqual(set)).toBe(true);
  });

  it('keeps its size, whatever is asked of it', async () => {
    const set = await mounted();
    const size = async (): Promise<number> => Number(await must('stat', '-c', '%s', set.file));
    await sh(`printf hello > ${set.file}`);
    expect(await size()).toBe(set.bytes);
    expect(
      readFileSync(set.legs[0] ?? '')
        .subarray(0, 8)
        .toString('latin1'),
    ).toBe('hello\0\0\0');
    const shorter = await run('truncate', ['-s', '4096', set.file]);
    expect(shorter).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Operation not permitted') as string,
    });
    const longer = await run('truncate', ['-s', String(set.bytes + 512), set.file]);
    expect(longer).toMatchObject({ code: 1, stderr: expect.stringContaining('File too large') as string });
    await must('truncate', '-s', String(set.bytes), set.file);
    expect(await size()).toBe(set.bytes);
    expect(await must('head', '-c', '5', set.file)).toBe('hello');
  });

  it('writes what fits at its end, then says that it is full', async () => {
    const set = await mounted({ bytes: 1 * MIB });
    const over = await run('dd', [
      'if=/dev/zero',
      `of=${set.file}`,
      'bs=4096',
      'count=300',
      'conv=notrunc',
      'oflag=direct',
    ]);
    expect(over.stderr).toContain('No space left on device');
    expect(over.stderr).toContain('256+0 records out');
    const append = await run('bash', ['-c', `echo more >> ${set.file}`]);
    expect(append.stderr).toContain('No space left on device');
    expect(await must('dd', `if=${set.file}`, `bs=${String(MIB)}`, 'skip=1', 'status=none')).toBe('');
  });

  it('refuses what would change the folder', async () => {
    const set = await mounted();
    for (const script of [
      `touch ${set.mountpoint}/new`,
      `mkdir ${set.mountpoint}/new`,
      `rm -f ${set.file}`,
      `mv ${set.file} ${set.mountpoint}/other`,
      `ln ${set.file} ${set.mountpoint}/other`,
      `ln -s x ${set.mountpoint}/other`,
    ]) {
      const { code, stderr } = await run('bash', ['-c', script]);
      expect(code, script).toBe(1);
      expect(stderr, script).toContain('Operation not permitted');
    }
    expect((await must('ls', set.mountpoint)).trim()).toBe('data');
  });

  it('lets its owner change mode, owner and times, until it is unmounted', async () => {
    const set = await mounted();
    await must('chmod', '640', set.file);
    await must('chown', '12:34', set.file);
    await must('touch', '-d', '2001-02-03T04:05:06Z', set.file);
    expect((await must('stat', '-c', '%a %u %g %Y', set.file)).trim()).toBe('640 12 34 981173106');
    await set.scene.umount(set.mountpoint);
    await set.scene.mount(set.config, set.mountpoint);
    expect((await must('stat', '-c', '%a %u %g', set.file)).trim()).toBe('600 0 0');
  });

  it('can be mapped into memory, to read and to write', async () => {
    const set = await mounted();
    await sh(`python3 - <<'PY'
import mmap, os
fd = os.open("${set.file}", os.O_RDWR)
m = mmap.mmap(fd, 0)
m[4096:4101] = b"hello"
m[${String(set.bytes)} - 3:${String(set.bytes)}] = b"end"
m.flush()
assert m[4096:4101] == b"hello"
m.close()
PY`);
    const leg = readFileSync(set.legs[1] ?? '');
    expect(leg.subarray(4096, 4101).toString()).toBe('hello');
    expect(leg.subarray(-3).toString()).toBe('end');
    expect(legsEqual(set)).toBe(true);
  });

  it('gives zeros for a punched hole and a zeroed range, on every leg', async () => {
    const set = await mounted();
    await sh(`head -c ${String(set.bytes)} /dev/urandom | dd of=${set.file} bs=1M conv=notrunc status=none`);
    const model = set.scene.path('model');
    await must('cp', '--sparse=never', set.legs[0] ?? '', model);
    for (const target of [set.file, model]) {
      await must('fallocate', '--punch-hole', '--offset', '70000', '--length', '300001', target);
      await must(
        'fallocate',
        '--zero-range',
        '--keep-size',
        '--offset',
        '4194304',
        '--length',
        '65536',
        target,
      );
    }
    await must('cmp', set.file, model);
    expect(legsEqual(set)).toBe(true);
  });

  it('refuses a stray > when the config says truncate: deny', async () => {
    const set = await mounted({ set: { truncate: 'deny' } });
    await sh(`printf kept | dd of=${set.file} conv=notrunc status=none`);
    const stray = await run('bash', ['-c', `echo lost > ${set.file}`]);
    expect(stray.stderr).toContain('Operation not permitted');
    expect(await must('head', '-c', '4', set.file)).toBe('kept');
  });

  it('cannot be written when the config says read_only', async () => {
    const set = await mounted({ set: { read_only: false } });
    await sh(`printf before | dd of=${set.file} conv=notrunc status=none`);
    await set.scene.umount(set.mountpoint);
    const config = readFileSync(set.config, 'utf8').replace('read_only: false', 'read_only: true');
    writeFileSync(set.config, config);
    await set.scene.mount(set.config, set.mountpoint);
    expect(await must('head', '-c', '6', set.file)).toBe('before');
    const refused = await run('bash', ['-c', `echo x >> ${set.file}`]);
    expect(refused.stderr).toMatch(/Read-only file system/);
  });

  it('tells its size and blocks', async () => {
    const set = await mounted();
    expect((await must('blockdev', '--getsize64', set.file)).trim()).toBe(String(set.bytes));
    expect((await must('stat', '-c', '%b %B', set.file)).trim()).toBe(`${String(set.bytes / 512)} 512`);
    expect(await must('df', '--output=size', '-B1', set.mountpoint)).toContain(String(set.bytes));
  });

  it('keeps legs equal under eight writers on one overlapping 64 KiB', async () => {
    const set = await mounted({ legs: 3 });
    await sh(`timeout 60 python3 - <<'PY'
import os, random, threading
def writer(seed):
    rng = random.Random(seed)
    fd = os.open("${set.file}", os.O_WRONLY | (os.O_DIRECT if seed % 2 else 0))
    for _ in range(250):
        unit = 512 if seed % 2 else rng.randrange(1, 600)
        os.pwrite(fd, bytes([rng.randrange(256)]) * (unit * rng.randrange(1, 14)), unit * rng.randrange(100))
    os.close(fd)
threads = [threading.Thread(target=writer, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
PY`);
    expect(legsEqual(set)).toBe(true);
  });

  it('never takes 4 KiB of direct I/O into JavaScript', async () => {
    const set = await mounted();
    const before = (await set.scene.status(set.mountpoint)).operations;
    await sh(
      `dd if=/dev/zero of=${set.file} bs=4k count=500 oflag=direct conv=notrunc status=none; dd if=${set.file} of=/dev/null bs=4k count=500 iflag=direct status=none`,
    );
    const after = (await set.scene.status(set.mountpoint)).operations;
    expect(after.write - before.write).toBe(500);
    expect(after.read - before.read).toBeGreaterThanOrEqual(500);
    // Two status calls read one attribute each; nothing else was forwarded.
    expect(after.forwarded - before.forwarded).toBeLessThanOrEqual(4);
  });
});
