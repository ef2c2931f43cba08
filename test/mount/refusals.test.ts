/** What mount, init and check-config refuse on real devices, at which place of the config; and that a refusal changes nothing. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mounts } from '../../src/util/mountinfo.js';
import { canMount, dmiofs, MIB, must, type Ran, run, Scene, sh } from '../helpers/mounted.js';

const SECTORS_A_MIB = 2048;
let scene: Scene;
/** To be undone before the scene's folder goes, the newest first. */
let undo: (readonly string[])[];

beforeEach(() => {
  scene = new Scene();
  undo = [];
});
afterEach(async () => {
  for (const [program = '', ...args] of undo.reverse()) await run(program, args);
  await scene.close();
});

/** The text of a config; its `sets:` begin at line 4. */
function config(sets: string, name = 'config.yaml'): string {
  const path = scene.path(name);
  writeFileSync(path, `version: 1\nstate_dir: ./state\nsets:\n${sets}`);
  return path;
}

/** The lines of stderr, without what stands before the file's name. */
function lines({ stderr }: Ran): readonly string[] {
  return stderr
    .trimEnd()
    .split('\n')
    .map((line) => line.replace('dmiofs: ', '').replaceAll(`${scene.dir}/`, ''));
}

/** Refused with just these lines by every command that looks at devices; nothing is made, opened or mounted. */
async function expectRefused(path: string, ...expected: readonly (string | RegExp)[]): Promise<void> {
  const mountpoint = scene.folder('mnt');
  for (const args of [
    ['check-config', path],
    ['init', path],
    ['mount', path, mountpoint],
  ]) {
    const ran = await dmiofs(...args);
    // mount(8) has a code of its own for it.
    expect(ran.code).toBe(args[0] === 'mount' ? 32 : 1);
    expect(ran.stdout).toBe('');
    const found = lines(ran);
    expect(found).toHaveLength(expected.length);
    for (const [index, line] of expected.entries()) expect(found[index]).toMatch(line);
  }
  expect(mounts().some((entry) => entry.mountpoint === mountpoint)).toBe(false);
  expect(existsSync(scene.path('state'))).toBe(false);
}

/** A partition from sector 2048 on, of 4 MiB, without a table on the disk. */
async function partition(disk: string): Promise<string> {
  await must('addpart', disk, '1', String(SECTORS_A_MIB), String(4 * SECTORS_A_MIB));
  undo.push(['delpart', disk, '1']);
  return `${disk}p1`;
}

const OWN_PLACE = ': each I/O region and each log needs its own place';

describe.skipIf(!canMount)('two I/O regions at the same place', () => {
  test('of one file, seen directly and through a loop device with an offset', async () => {
    const image = scene.image('a.img', 8 * MIB);
    const loop = await scene.loop(image, '--offset', String(4 * MIB));
    const path = config(
      `  s: {regions: [{device: ${loop}, count: 2048}]}\n  t: {regions: [{device: a.img, sector: 10239, count: 16}]}\n`,
    );
    await expectRefused(
      path,
      `config.yaml:5:26: sets.t.regions[0].device: is in use: the loop device ${basename(loop)} is set up on it: losetup -d ${loop} first`,
      `config.yaml:5:26: sets.t.regions[0].device: overlaps sets.s.regions[0].device (${loop} from sector 0) by 512B${OWN_PLACE}`,
    );
  });

  test('of one file, through two loop devices; side by side they are allowed', async () => {
    const image = scene.image('a.img', 8 * MIB);
    const whole = await scene.loop(image);
    const half = await scene.loop(image, '--offset', String(4 * MIB));
    await expectRefused(
      config(`  s: {regions: [{device: ${whole}}]}\n  t: {regions: [{device: ${half}}]}\n`),
      `config.yaml:5:26: sets.t.regions[0].device: overlaps sets.s.regions[0].device (${whole} from sector 0) by 4MiB${OWN_PLACE}`,
    );
    const beside = config(
      `  s: {regions: [{device: ${whole}, count: 8192}]}\n  t: {regions: [{device: ${half}}]}\n`,
    );
    expect(await dmiofs('check-config', beside)).toMatchObject({ code: 0, stderr: '' });
  });

  test('of one disk, through a loop device over its partition', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    const part = await partition(disk);
    const over = (await must('losetup', '--find', '--show', '--offset', String(MIB), part)).trim();
    undo.push(['losetup', '--detach', over]);
    // The loop begins 1 MiB into a partition that begins 1 MiB into the disk: at sector 4096.
    const path = config(
      `  s: {regions: [{device: ${over}, count: 8}]}\n  t: {regions: [{device: ${disk}, sector: 4100, count: 8}]}\n`,
    );
    const { code, stderr } = await dmiofs('check-config', path);
    expect(code).toBe(1);
    expect(stderr).toContain(`overlaps sets.s.regions[0].device (${over} from sector 0) by 2KiB${OWN_PLACE}`);
  });

  test('of one disk, directly and through its partition', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    const part = await partition(disk);
    await expectRefused(
      config(
        `  s: {regions: [{device: ${disk}, sector: 0, count: 2049}]}\n  t: {regions: [{device: ${part}, count: 8}]}\n`,
      ),
      `config.yaml:5:26: sets.t.regions[0].device: overlaps sets.s.regions[0].device (${disk} from sector 0) by 512B${OWN_PLACE}`,
    );
  });

  test('a leg and a log', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}], log: {path: ${disk}}}\n`),
      new RegExp(
        `^config\\.yaml:4:\\d+: sets\\.s\\.log\\.path: overlaps sets\\.s\\.regions\\[0\\]\\.device .* by 8MiB`,
      ),
    );
  });

  test('of one block device by a link', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    await must('ln', '-s', disk, scene.path('disk'));
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}, {device: disk}]}\n`),
      new RegExp(
        `sets\\.s\\.regions\\[1\\]\\.device: overlaps sets\\.s\\.regions\\[0\\]\\.device .* by 8MiB`,
      ),
    );
  });
});

describe.skipIf(!canMount)('a device in use', () => {
  async function mountOn(device: string): Promise<string> {
    await must('mkfs.ext4', '-q', '-F', device);
    const folder = scene.folder('fs with a blank');
    await must('mount', device, folder);
    undo.push(['umount', folder]);
    return folder;
  }

  test('mounted', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    await mountOn(disk);
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}]}\n`),
      `config.yaml:4:26: sets.s.regions[0].device: is in use: ${basename(disk)} is mounted on fs with a blank: unmount it first`,
    );
  });

  test('an image that is mounted', async () => {
    const loop = await scene.loop(scene.image('a.img', 8 * MIB));
    await mountOn(loop);
    await expectRefused(
      config('  s: {regions: [{device: a.img}]}\n'),
      `config.yaml:4:26: sets.s.regions[0].device: is in use: the loop device ${basename(loop)} is set up on it: losetup -d ${loop} first`,
    );
  });

  test('another loop device over what is mounted', async () => {
    const image = scene.image('a.img', 8 * MIB);
    const mounted = await scene.loop(image);
    const other = await scene.loop(image);
    await mountOn(mounted);
    await expectRefused(
      config(`  s: {regions: [{device: ${other}}]}\n`),
      new RegExp(
        `is in use: its data is that of ${basename(mounted)}, and ${basename(mounted)} is mounted on`,
      ),
    );
  });

  test('a disk whose partition is mounted, and a partition whose disk is', async () => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    const part = await partition(disk);
    const folder = await mountOn(part);
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}]}\n`),
      `sets.s.regions[0].device: is in use: ${basename(part)} is mounted on fs with a blank: unmount it first`,
    );
    await must('umount', folder);
    await mountOn(disk);
    await expectRefused(
      config(`  s: {regions: [{device: ${part}}]}\n`),
      `sets.s.regions[0].device: is in use: ${basename(disk)} is mounted on fs with a blank: unmount it first`,
    );
  });

  test('part of a device-mapper device', async (context) => {
    const disk = await scene.loop(scene.image('a.img', 8 * MIB));
    const name = `dmiofs-test-${String(process.pid)}`;
    const made = await run('dmsetup', ['create', name, '--table', `0 2048 linear ${disk} 0`]);
    if (made.code !== 0) context.skip(`no device mapper: ${made.stderr.trim()}`);
    undo.push(['dmsetup', 'remove', '--retry', name]);
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}]}\n`),
      new RegExp(`is in use: ${basename(disk)} is part of dm-\\d+: take it out of that first`),
    );
  });

  test('swap, on a device and in a file', async (context) => {
    // With blocks of its own: swapon refuses a file with holes.
    writeFileSync(scene.path('a.img'), Buffer.alloc(MIB, 1), { mode: 0o600 });
    await must('mkswap', scene.path('a.img'));
    const on = await run('swapon', ['--priority', '0', scene.path('a.img')]);
    if (on.code !== 0) context.skip(`no swap: ${on.stderr.trim()}`);
    undo.push(['swapoff', scene.path('a.img')]);
    await expectRefused(
      config('  s: {regions: [{device: a.img}]}\n'),
      'config.yaml:4:26: sets.s.regions[0].device: is in use: it is used as swap: swapoff it first',
    );
  });

  test('by another dmiofs: leg and log; what that one has is left alone', async () => {
    scene.image('a.img', 4 * MIB);
    const first = config('  s: {regions: [{device: a.img}]}\n');
    await must('mkdir', scene.path('first'));
    expect((await dmiofs('init', first)).code).toBe(0);
    await scene.mount(first, scene.path('first'));
    await sh(`printf kept | dd of='${scene.path('first')}/s' conv=notrunc,fsync status=none`);
    const before = readFileSync(scene.path('a.img'));

    const second = scene.path('second.yaml');
    writeFileSync(second, 'version: 1\nstate_dir: ./state2\nsets:\n  t: {regions: [{device: a.img}]}\n');
    expect((await dmiofs('init', second)).code).toBe(0);
    const mountpoint = scene.folder('mnt');
    const ran = await dmiofs('mount', second, mountpoint);
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toContain('a.img');
    expect(ran.stderr).toMatch(/in use by another program or another dmiofs/);
    expect(mounts().some((entry) => entry.mountpoint === mountpoint)).toBe(false);

    const same = await dmiofs('mount', first, mountpoint);
    expect(same.code).not.toBe(0);
    expect(same.stderr).toMatch(/in use by another program or another dmiofs/);
    expect(await sh(`head -c 4 '${scene.path('first')}/s'`)).toBe('kept');
    expect(readFileSync(scene.path('a.img')).equals(before)).toBe(true);
  });
});

describe.skipIf(!canMount)('I/O regions that do not fit', () => {
  test('beyond the end of a block device, and of an image', async () => {
    const disk = await scene.loop(scene.image('a.img', 2 * MIB));
    scene.image('b.img', MIB);
    await expectRefused(
      config(`  s:\n    regions:\n      - {device: ${disk}}\n      - {device: b.img}\n    size: 2MiB\n`),
      'config.yaml:7:18: sets.s.regions[1].device: ends at sector 2048, but the I/O region goes to sector 4096 (start 0, count 4096)',
    );
    truncateSync(scene.path('b.img'), 2 * MIB);
    await expectRefused(
      config(
        `  s:\n    regions:\n      - {device: ${disk}, sector: 1}\n      - {device: b.img}\n    size: 2MiB\n`,
      ),
      'config.yaml:6:18: sets.s.regions[0].device: ends at sector 4096, but the I/O region goes to sector 4097 (start 1, count 4096)',
    );
  });

  test('unequal counts', async () => {
    scene.image('a.img', 2 * MIB);
    scene.image('b.img', 2 * MIB);
    await expectRefused(
      config('  s: {regions: [{device: a.img, count: 8}, {device: b.img, count: 16}]}\n'),
      'config.yaml:4:67: sets.s.regions[1].count: is 16 sectors, but regions[0] has 8: all I/O regions of a set have the same count',
    );
  });

  test('not aligned to logical blocks of 4096 bytes', async () => {
    const disk = await scene.loop(scene.image('a.img', 2 * MIB), '--sector-size', '4096');
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}, sector: 4, count: 8}]}\n`),
      "sets.s.regions[0].sector: must be a multiple of 8: the device's logical blocks are 4096 bytes",
    );
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}, sector: 8, count: 4}]}\n`),
      "has logical blocks of 4096 bytes, and the set's 4 sectors are not a multiple of that",
    );
  });

  test('a device that is set read-only', async () => {
    const disk = await scene.loop(scene.image('a.img', 2 * MIB), '--read-only');
    await expectRefused(
      config(`  s: {regions: [{device: ${disk}}]}\n`),
      'sets.s.regions[0].device: cannot be written: it is read-only',
    );
  });

  test('what is neither a block device nor a file', async () => {
    await expectRefused(
      config('  s: {regions: [{device: /dev/zero}, {device: .}]}\n'),
      /^config\.yaml:4:26: sets\.s\.regions\[0\]\.device: .*a block device or a regular file/,
      /^config\.yaml:4:47: sets\.s\.regions\[1\]\.device: .*a block device or a regular file/,
    );
  });
});

describe.skipIf(!canMount)('what stands in the file', () => {
  test('a name with a slash and a name that is there twice, before any device is looked at', async () => {
    await expectRefused(
      config(
        '  a/b: {regions: [{device: gone.img}]}\n  c: {regions: [{device: x}]}\n  c: {regions: [{device: y}]}\n',
      ),
      'config.yaml:4:3: sets.a/b: the name must not contain "/": it is a file\'s name under the mountpoint',
      'config.yaml:6:3: sets.c: is there twice: a key, and so the name of a set, must be unique',
    );
  });

  test('a device under the mountpoint itself', async () => {
    const mountpoint = scene.folder('mnt');
    scene.image('mnt/a.img', MIB);
    const ran = await dmiofs('mount', config('  s: {regions: [{device: mnt/a.img}]}\n'), mountpoint);
    expect(ran.code).toBe(32);
    expect(lines(ran)).toHaveLength(1);
    expect(lines(ran)[0]).toMatch(
      /^config\.yaml:4:26: sets\.s\.regions\[0\]\.device: lies under the mountpoint/,
    );
  });

  test('a disk that is not there does not become a file of its name', async () => {
    const device = `/dev/dmiofs-no-such-disk-${String(process.pid)}`;
    const ran = await dmiofs('init', config(`  s: {regions: [{device: ${device}}], size: 1MiB}\n`));
    expect(ran.code).toBe(1);
    expect(lines(ran)).toEqual([
      'config.yaml:4:26: sets.s.regions[0].device: does not exist: a disk that is not there is not made into a file under /dev',
    ]);
    expect(existsSync(device)).toBe(false);
  });
});
