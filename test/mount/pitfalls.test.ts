/** What goes wrong with fuse-native, libfuse 2.9 or a plain module on them, each with a test that it does not here. */
import { existsSync } from 'node:fs';
import { open, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isMounted, MountBench, type MountChild, run } from '../helpers/mount-child.js';

const MIB = 1024 * 1024;
const TIB = 1024 ** 4;
const PROBE = fileURLToPath(new URL('../helpers/xattr-probe.py', import.meta.url));
/** The one that npm ships; root needs no other. */
const FUSERMOUNT = fileURLToPath(
  new URL('../../node_modules/fuse-shared-library-linux/libfuse/bin/fusermount', import.meta.url),
);
let bench: MountBench;

beforeEach(async () => {
  bench = await MountBench.make();
});
afterEach(async () => {
  await bench.close();
});

function fileOf(child: MountChild): string {
  return join(child.options.mountpoint, 'data');
}

/** xattr-probe.py's answer: an errno's name, or the length and the text. */
async function probe(...args: readonly string[]): Promise<string> {
  return (await run('python3', [PROBE, ...args])).stdout.trim();
}

async function fuseDescriptors(pid: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (const fd of await readdir(`/proc/${String(pid)}/fd`)) {
    const target = await readlink(`/proc/${String(pid)}/fd/${fd}`).catch(() => '');
    if (target === '/dev/fuse') found.push(fd);
  }
  return found;
}

test('fuse-native loads on a machine without libfuse2: it binds to the library that npm ships', async () => {
  const child = await bench.mount(MIB);
  const maps = await readFile(`/proc/${String(child.pid)}/maps`, 'utf8');
  const libraries = new Set(maps.match(/\/\S*libfuse\S*\.so\S*/g));
  expect([...libraries]).toEqual([
    expect.stringContaining('node_modules/fuse-shared-library-linux/libfuse/lib/libfuse.so'),
  ]);
});

test('statfs counts more than 2^32 blocks', async () => {
  const child = await bench.mount(3 * TIB);
  const fields = (await run('stat', ['-f', '-c', '%S %b %c', child.options.mountpoint])).stdout
    .trim()
    .split(' ')
    .map(Number);
  expect((fields[0] ?? 0) * (fields[1] ?? 0)).toBe(3 * TIB);
  expect(fields[1]).toBeGreaterThan(2 ** 32);
  expect(fields[2]).toBe(2);
  expect((await stat(fileOf(child))).size).toBe(3 * TIB);
});

test('touch changes both times, or only the one asked for', async () => {
  const child = await bench.mount(MIB);
  const path = fileOf(child);
  const times = async (): Promise<readonly number[]> => {
    const found = await stat(path);
    return [Math.round(found.atimeMs), Math.round(found.mtimeMs)];
  };
  await run('touch', ['-a', '-d', '@1000000000.25', path]);
  await run('touch', ['-m', '-d', '@1100000000.5', path]);
  expect(await times()).toEqual([1000000000250, 1100000000500]);
  await run('touch', ['-a', '-d', '@1200000000', path]);
  expect(await times()).toEqual([1200000000000, 1100000000500]);
  const before = Date.now() - 1000;
  await run('touch', ['-m', path]);
  const [atime, mtime] = await times();
  expect(atime).toBe(1200000000000);
  expect(mtime).toBeGreaterThan(before);
});

test('a small buffer for an attribute gets ERANGE, size 0 its length, an unknown one ENODATA', async () => {
  const child = await bench.mount(MIB, {}, { attributes: { 'user.dmio.status': 'state=complete' } });
  const get = (name: string, size: number): Promise<string> =>
    probe('get', fileOf(child), name, String(size));
  expect(await get('user.dmio.status', 0)).toBe('14');
  expect(await get('user.dmio.status', 13)).toBe('ERANGE');
  expect(await get('user.dmio.status', 14)).toBe('14 state=complete');
  expect(await get('user.dmio.status', 4096)).toBe('14 state=complete');
  expect(await get('user.dmio.unknown', 4096)).toBe('ENODATA');
  expect(await get('user.other', 4096)).toBe('ENODATA');
  expect(await get('user.dmio.control', 4096)).toBe('ENODATA');
});

test('listxattr with a small, non-zero buffer gets ERANGE and the daemon lives', async () => {
  const child = await bench.mount(
    MIB,
    {},
    { attributes: { 'user.dmio.status': 'x', 'user.dmio.sync': 'y' } },
  );
  const list = (size: number): Promise<string> => probe('list', fileOf(child), String(size));
  expect(await list(0)).toBe('32');
  for (const size of [1, 5, 17, 31]) expect(await list(size)).toBe('ERANGE');
  expect(await list(32)).toBe('32 user.dmio.status,user.dmio.sync,');
  expect(child.alive).toBe(true);
});

test('a value as large as an attribute can be arrives whole', async () => {
  const value = 'v'.repeat(65536);
  const child = await bench.mount(MIB, {}, { attributes: { 'user.dmio.json': value } });
  expect(await probe('get', fileOf(child), 'user.dmio.json', '65536')).toBe(`65536 ${value}`);
  expect(await probe('get', fileOf(child), 'user.dmio.json', '65535')).toBe('ERANGE');
});

test('security, system and trusted attributes never reach JavaScript', async () => {
  const child = await bench.mount(MIB);
  await writeFile(fileOf(child), Buffer.alloc(MIB, 7), { flag: 'r+' });
  for (const name of ['security.capability', 'security.selinux', 'trusted.x', 'system.posix_acl_access']) {
    expect(await probe('get', fileOf(child), name, '100')).toMatch(/^(ENODATA|ENOTSUP)$/);
  }
  const { names, calls } = await child.ask<{ names: string[]; calls: Record<string, number> }>('calls');
  expect(names).toEqual([]);
  expect(calls).toEqual({});
});

test('control is for the owner and root, and for nothing else than control', async () => {
  const child = await bench.mount(MIB, { uid: 1234, mode: 0o666 }, { allowOther: true });
  await run('chmod', ['755', bench.directory]);
  const set = (name: string, value: string, uid: string): Promise<string> =>
    probe('set', fileOf(child), name, value, uid);
  expect(await set('user.dmio.control', 'fail 1', '1234')).toBe('0');
  expect(await set('user.dmio.control', 'fail 0', '0')).toBe('0');
  expect(await set('user.dmio.control', 'clear', '4321')).toBe('EPERM');
  expect(await set('user.dmio.control', 'nonsense', '0')).toBe('EINVAL');
  expect(await set('user.dmio.control', 'x'.repeat(4097), '0')).toBe('E2BIG');
  expect(await set('user.dmio.status', 'x', '0')).toBe('EPERM');
  expect(await set('user.else', 'x', '0')).toBe('ENOTSUP');
  expect(child.events.filter((one) => one.event === 'control').map((one) => one.text)).toEqual([
    'fail 1',
    'fail 0',
    'nonsense',
  ]);
});

test('the descriptor of the session is close-on-exec, and there is one', async () => {
  const child = await bench.mount(MIB);
  const descriptors = await fuseDescriptors(child.pid);
  expect(descriptors).toHaveLength(1);
  const info = await readFile(`/proc/${String(child.pid)}/fdinfo/${descriptors[0] ?? ''}`, 'utf8');
  const flags = Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '', 8);
  expect(flags & 0o2000000).toBe(0o2000000);
});

test("the session's end uses no freed memory", async () => {
  const legs = await bench.images(2, MIB);
  const child = bench.start(
    { mountpoint: await bench.mountpoint(), sets: [{ name: 'data', legs, count: MIB / 512 }] },
    { GLIBC_TUNABLES: 'glibc.malloc.tcache_count=0', MALLOC_PERTURB_: '165' },
  );
  await child.mounted();
  await readFile(fileOf(child));
  expect(await child.umount()).toBe('0');
});

test.each([
  ['umount', ['umount']],
  ['a lazy umount', ['umount', '-l']],
  ['fusermount -u', [FUSERMOUNT, '-u', '--']],
])('%s from outside is told once, and the process ends', async (_name, [program = '', ...options]) => {
  const child = await bench.mount(MIB);
  await run(program, [...options, child.options.mountpoint]);
  expect(await child.exited()).toBe('0');
  expect(child.count('told')).toBe(1);
});

test('an aborted connection is told once, and the process ends', async () => {
  const child = await bench.mount(MIB);
  await bench.abort(child.options.mountpoint);
  expect(await child.exited()).toBe('0');
  expect(child.count('told')).toBe(1);
});

test('a lazy umount serves open files until they are closed', async () => {
  const child = await bench.mount(MIB);
  const file = await open(fileOf(child), 'r+');
  await run('umount', ['-l', child.options.mountpoint]);
  await file.write(Buffer.alloc(4096, 9), 0, 4096, 8192);
  await file.sync();
  expect(child.count('end')).toBe(0);
  await file.close();
  expect(await child.exited()).toBe('0');
  expect((await readFile(child.options.sets[0]?.legs[1] ?? ''))[8192]).toBe(9);
});

test.each([
  ['an option that libfuse does not know', 'no_such_option'],
  ['a module that does not exist', 'modules=nosuchmodule'],
])('%s leaves nothing mounted', async (_name, option) => {
  const legs = await bench.images(2, MIB);
  const mountpoint = await bench.mountpoint();
  const sets = [{ name: 'data', legs, count: MIB / 512 }];
  const child = bench.start({ mountpoint, sets, exitAtEnd: false, mountOptions: [option] });
  await expect(child.mounted()).rejects.toThrow('fuse failed');
  expect(await isMounted(mountpoint)).toBe(false);
  expect(await fuseDescriptors(child.pid)).toEqual([]);
});

test('a mountpoint with shell syntax, spaces and commas runs nothing and is served', async () => {
  const name = `a b,c $(touch PWNED) \`touch PWNED\` "q" 'q';#`;
  const mountpoint = await bench.mountpoint(name);
  const legs = await bench.images(2, MIB);
  const child = await bench.start({ mountpoint, sets: [{ name: 'data', legs, count: MIB / 512 }] }).mounted();
  expect((await stat(fileOf(child))).size).toBe(MIB);
  expect(await child.umount()).toBe('0');
  const bad = bench.start({
    mountpoint,
    sets: [{ name: 'data', legs, count: MIB / 512 }],
    exitAtEnd: false,
    mountOptions: ['bad'],
  });
  await expect(bad.mounted()).rejects.toThrow();
  expect(await isMounted(mountpoint)).toBe(false);
  for (const where of [process.cwd(), bench.directory]) expect(existsSync(join(where, 'PWNED'))).toBe(false);
});

test('a process that exits in the middle of I/O ends in order, and its users get errors', async () => {
  const child = await bench.mount(16 * MIB);
  const file = fileOf(child);
  const readers = Array.from({ length: 4 }, () =>
    run('dd', [`if=${file}`, 'of=/dev/null', 'bs=4k', 'iflag=direct']),
  );
  const outcomes = Promise.allSettled(readers);
  await expect.poll(async () => (await child.ask<{ read: number }>('counters')).read).toBeGreaterThan(100);
  child.tell('exit', 3);
  expect(await child.exited()).toBe('3');
  await outcomes;
  await expect(stat(file)).rejects.toThrow(/ENOTCONN|ECONNABORTED/);
});

test('two mounts in one process serve and end by themselves', async () => {
  const child = await bench.mount(MIB, {}, { exitAtEnd: false });
  const legs = await bench.images(2, 2 * MIB);
  const second = await bench.mountpoint('second');
  await child.ask('mountAnother', {
    mountpoint: second,
    sets: [{ name: 'more', legs, count: 4096 }],
    exitAtEnd: false,
  });
  await child.event((one) => one.event === 'mounted' && one.mountpoint === second);
  expect((await stat(join(second, 'more'))).size).toBe(2 * MIB);
  await run('umount', [second]);
  await child.event((one) => one.event === 'end' && one.mountpoint === second);
  expect((await stat(fileOf(child))).size).toBe(MIB);
  expect(child.count('told')).toBe(1);
});

test('ten mounts and unmounts leak no descriptor', async () => {
  const child = await bench.mount(MIB, {}, { exitAtEnd: false });
  const legs = await bench.images(2, MIB);
  const mountpoint = await bench.mountpoint('again');
  const descriptors = async (): Promise<number> => (await readdir(`/proc/${String(child.pid)}/fd`)).length;
  const counts: number[] = [];
  for (let round = 1; round <= 10; round++) {
    await child.ask('mountAnother', {
      mountpoint,
      sets: [{ name: 'again', legs, count: MIB / 512 }],
      exitAtEnd: false,
    });
    const ours = (kind: string): number =>
      child.events.filter((one) => one.event === kind && one.mountpoint === mountpoint).length;
    await child.event(() => ours('mounted') === round);
    await readFile(join(mountpoint, 'again'));
    await run('umount', [mountpoint]);
    await child.event(() => ours('end') === round);
    counts.push(await descriptors());
  }
  expect(counts.at(-1)).toBe(counts[1]);
});
