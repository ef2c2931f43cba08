import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountBench, run } from '../helpers/mount-child.js';

const MIB = 1024 * 1024;
let bench: MountBench;

beforeEach(async () => {
  bench = await MountBench.make();
});
afterEach(async () => {
  await bench.close();
});

test('what is written is on every leg, and what is read is what was written', async () => {
  const child = await bench.mount(4 * MIB);
  const path = join(child.options.mountpoint, 'data');
  const data = Buffer.alloc(4 * MIB, 'dmiofs!');
  await writeFile(path, data, { flag: 'r+' });
  expect((await readFile(path)).equals(data)).toBe(true);
  expect(await child.umount()).toBe('0');
  for (const leg of child.options.sets[0]?.legs ?? []) expect((await readFile(leg)).equals(data)).toBe(true);
});

test('the session has the shim unless it was told not to, and knows what the kernel speaks', async () => {
  const child = await bench.mount(MIB);
  const session = await child.ask<{ shim: boolean; kernelMinor: number }>('session');
  const stock = process.env['DMIOFS_SESSION'] === 'stock';
  expect(session.shim).toBe(!stock);
  if (!stock) expect(session.kernelMinor).toBeGreaterThan(19);
});

test('4 KiB direct reads and writes never enter JavaScript', async () => {
  const child = await bench.mount(4 * MIB);
  const path = join(child.options.mountpoint, 'data');
  const before = await child.ask<{ calls: Record<string, number> }>('calls');
  await run('dd', [
    'if=/dev/urandom',
    `of=${path}`,
    'bs=4k',
    'count=64',
    'oflag=direct',
    'conv=notrunc',
    'iflag=fullblock',
  ]);
  await run('dd', [`if=${path}`, 'of=/dev/null', 'bs=4k', 'count=64', 'iflag=direct']);
  expect(await child.ask('calls')).toEqual(before);
  const counters = await child.ask<{ forwarded: number; read: number; write: number }>('counters');
  expect(counters).toMatchObject({ forwarded: 0, read: 64, write: 64 });
});

test('data is served while the JavaScript thread is stuck', async () => {
  const child = await bench.mount(MIB);
  const path = join(child.options.mountpoint, 'data');
  let released = false;
  const stuck = child.ask('block', 3000).then(() => {
    released = true;
  });
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(4096, 1), 0, 4096, 0);
  await file.sync();
  expect((await file.read(Buffer.alloc(4096), 0, 4096, 0)).bytesRead).toBe(4096);
  expect((await file.stat()).size).toBe(MIB);
  await file.close();
  expect(released).toBe(false);
  await stuck;
});

test('stat tells the size, the space and a stable inode', async () => {
  const child = await bench.mount(MIB, { mode: 0o640 });
  const found = await stat(join(child.options.mountpoint, 'data'));
  expect(found).toMatchObject({
    size: MIB,
    blocks: MIB / 512,
    blksize: 4096,
    nlink: 1,
    ino: 2,
    mode: 0o100640,
  });
});
