/** Sets of every shape: numbers of legs, start sectors, odd counts, kinds of devices, block sizes, very large sets, many sets. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canMount, dmiofs, DMIOFS, MIB, must, run, Scene, sh } from '../helpers/mounted.js';

const SECTOR = 512;
let scene: Scene;

interface Leg {
  readonly device: string;
  /** Start sector of its I/O region. */
  readonly sector?: number;
}

/** `length` bytes at `offset`: of a file, or of a device past its cache. */
function bytesAt(path: string, offset: number, length: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const data = Buffer.alloc(length);
    let done = 0;
    while (done < length) {
      const got = readSync(fd, data, done, length - done, offset + done);
      if (got === 0) break;
      done += got;
    }
    return data.subarray(0, done);
  } finally {
    closeSync(fd);
  }
}

/** Where a leg's own device must be untouched: before and behind its I/O region. */
const FENCE = Buffer.alloc(SECTOR, 'fence');

/**
 * Inits, mounts, and writes at the start, at the end and in odd pieces all over, buffered and direct; then each leg must hold, at its own place,
 * what a plain file under the same writes holds.
 */
async function writesReachAll(legs: readonly Leg[], count: number, set: object = {}): Promise<void> {
  const bytes = count * SECTOR;
  const config = scene.config({
    data: {
      regions: legs.map(({ device, sector }) => ({ device, sector: sector ?? 0, count })),
      log: { region_size: '64KiB' },
      ...set,
    },
  });
  await must(DMIOFS, 'init', '--assume-clean', config);
  const mountpoint = scene.folder('mnt');
  const file = join(mountpoint, 'data');
  await scene.mount(config, mountpoint);
  expect((await must('stat', '-c', '%s', file)).trim()).toBe(String(bytes));
  const model = scene.image('model', bytes);
  await must('cp', file, model); // what was there before
  await sh(`python3 - ${file} ${model} ${String(bytes)} <<'PY'
import mmap, os, random, sys
path, model, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(size)
plain = os.open(path, os.O_RDWR); direct = os.open(path, os.O_RDWR | os.O_DIRECT); copy = os.open(model, os.O_RDWR)
page = mmap.mmap(-1, 1 << 20)
def put(fd, data, at):
    assert os.pwrite(fd, data, at) == len(data), (len(data), at)
    assert os.pwrite(copy, data, at) == len(data)
for at, length in [(0, 1), (size - 1, 1), (size - 700, 700), (511, 2)] + \\
        [(rng.randrange(size - 70000), rng.randrange(1, 70000)) for _ in range(20)]:
    put(plain, rng.randbytes(length), at)
for at, length in [(0, 512), (size - 512, 512)] + \\
        [(512 * rng.randrange(size // 512 - 300), 512 * rng.randrange(1, 300)) for _ in range(20)]:
    page.seek(0); page.write(rng.randbytes(length))
    put(direct, memoryview(page)[:length], at)
os.fsync(plain)
PY`);
  await must('cmp', file, model);
  await sh(`dd if=${file} iflag=direct bs=64k status=none | cmp - ${model}`);
  expect((await scene.set(file)).state).toBe('complete');
  await scene.umount(mountpoint);
  const wanted = readFileSync(model);
  for (const { device, sector } of legs) {
    expect(bytesAt(device, (sector ?? 0) * SECTOR, bytes).equals(wanted), device).toBe(true);
  }
}

const images = (number: number, bytes: number): Leg[] =>
  Array.from({ length: number }, (_, index) => ({ device: scene.image(`leg${String(index)}.img`, bytes) }));

describe.skipIf(!canMount)('a set', () => {
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(async () => {
    await scene.close();
  });

  it.each([1, 2, 3, 8, 64])('of %i legs', async (number) => {
    await writesReachAll(images(number, MIB), MIB / SECTOR);
  });

  it('whose legs start at different sectors, with others’ data before and behind', async () => {
    const count = 2048;
    const legs: Leg[] = [];
    for (const [index, sector] of [1, 8, 63, 2048].entries()) {
      const device = scene.image(`leg${String(index)}.img`, (sector + count + 1) * SECTOR);
      for (const at of [sector - 1, sector + count]) {
        await sh(
          `head -c ${String(SECTOR)} < <(yes fence | tr -d '\\n') | dd of=${device} bs=512 seek=${String(at)} conv=notrunc status=none`,
        );
      }
      legs.push({ device, sector });
    }
    await writesReachAll(legs, count);
    for (const { device, sector } of legs) {
      for (const at of [(sector ?? 0) - 1, (sector ?? 0) + count]) {
        expect(bytesAt(device, at * SECTOR, SECTOR).equals(FENCE), `${device} sector ${String(at)}`).toBe(
          true,
        );
      }
    }
  });

  it('two of which are on one device, side by side', async () => {
    const count = 1024;
    const device = scene.image('both.img', 2 * count * SECTOR);
    await writesReachAll([{ device }, { device, sector: count }], count);
  });

  it('beside others on the same two devices: each keeps to its I/O region, and one leg comes and goes by itself', async () => {
    const count = 2048;
    const names = ['one', 'two', 'three'];
    const image = scene.image('a.img', 4 * count * SECTOR);
    const backing = scene.image('b.img', 4 * count * SECTOR);
    const loop = await scene.loop(backing);
    const config = scene.config(
      Object.fromEntries(
        names.map((name, index) => [
          name,
          { regions: [image, loop].map((device) => ({ device, sector: index * count, count })) },
        ]),
      ),
    );
    await must(DMIOFS, 'init', '--assume-clean', config);
    const mountpoint = scene.folder('mnt');
    await scene.mount(config, mountpoint);
    const write = (name: string): Promise<string> =>
      sh(
        `head -c ${String(count * SECTOR)} /dev/urandom | tee ${scene.path(name)} | dd of=${join(mountpoint, name)} bs=64k iflag=fullblock conv=notrunc,fsync status=none`,
      );
    for (const name of names) await write(name);
    const two = join(mountpoint, 'two');
    await must(DMIOFS, 'fail', two, '1');
    for (const name of names) await write(name);
    await must(DMIOFS, 're-add', two, '1');
    await must(DMIOFS, 'wait', '--timeout', '30s', two);
    expect((await dmiofs('status', mountpoint)).code).toBe(0);
    // Held by this mount, whichever set's: no other program may have it.
    expect((await run('mkfs.ext4', ['-q', '-F', loop])).stderr).toContain('in use');
    await scene.umount(mountpoint);
    for (const [index, name] of names.entries()) {
      const wanted = readFileSync(scene.path(name));
      for (const device of [image, backing])
        expect(
          bytesAt(device, index * count * SECTOR, count * SECTOR).equals(wanted),
          `${name} on ${device}`,
        ).toBe(true);
    }
    expect(bytesAt(image, 3 * count * SECTOR, count * SECTOR).every((byte) => byte === 0)).toBe(true);
  });

  it.each([1021, 1025, 4093])('of %i sectors, which is not a multiple of 8', async (count) => {
    await writesReachAll(images(2, count * SECTOR), count);
  });

  it('of a loop device and an image file', async () => {
    const [image, backing] = [scene.image('a.img', 2 * MIB), scene.image('b.img', 2 * MIB)];
    const loop = await scene.loop(backing);
    await writesReachAll([{ device: loop, sector: 8 }, { device: image }], 3000);
  });

  it('of loop devices of 4096-byte blocks, written in 512-byte pieces', async () => {
    const loops: Leg[] = [];
    for (const name of ['a.img', 'b.img'])
      loops.push({ device: await scene.loop(scene.image(name, 2 * MIB), '--sector-size', '4096') });
    await writesReachAll(loops, 4096);
  });

  it('of legs of 4096-byte and of 512-byte blocks', async () => {
    const large = await scene.loop(scene.image('a.img', 2 * MIB), '--sector-size', '4096');
    const small = await scene.loop(scene.image('b.img', 2 * MIB));
    await writesReachAll(
      [
        { device: small, sector: 8 },
        { device: large, sector: 16 },
      ],
      2048,
    );
  });

  it('on 4096-byte blocks at a sector that is not on one is refused, and says why', async () => {
    const loop = await scene.loop(scene.image('a.img', 2 * MIB), '--sector-size', '4096');
    const config = scene.config({ data: { regions: [{ device: loop, sector: 3, count: 1024 }] } });
    const checked = await dmiofs('check-config', config);
    expect(checked.code).not.toBe(0);
    expect(checked.stderr).toContain('4096');
  });

  it.each([
    ['primary', 1],
    ['round-robin', 2],
  ] as const)('read by policy %s', async (policy, used) => {
    await writesReachAll(images(2, MIB), MIB / SECTOR, { read_policy: policy });
    const mountpoint = scene.path('mnt');
    await scene.mount(scene.path('config.yaml'), mountpoint);
    const file = join(mountpoint, 'data');
    await must('dd', `if=${file}`, 'of=/dev/null', 'bs=4k', 'iflag=direct', 'status=none');
    const { legs } = await scene.set(file);
    expect(legs.filter(({ reads }) => reads > 0)).toHaveLength(used);
  });

  it('of 8 TiB', async () => {
    const bytes = 8 * 2 ** 40;
    const legs = images(2, bytes);
    const config = scene.config({ data: { regions: legs } });
    await must(DMIOFS, 'init', '--assume-clean', config);
    const mountpoint = scene.folder('mnt');
    const file = join(mountpoint, 'data');
    await scene.mount(config, mountpoint);
    expect((await must('stat', '-c', '%s', file)).trim()).toBe(String(bytes));
    const source = scene.path('data');
    await sh(`head -c 1M /dev/urandom > ${source}`);
    for (const at of [0, 2 ** 32 - 4096, 2 ** 41, 2 ** 42 + 512, bytes - MIB]) {
      await must(
        'dd',
        `if=${source}`,
        `of=${file}`,
        'bs=1M',
        `seek=${String(at)}`,
        'oflag=seek_bytes',
        'conv=notrunc',
        'status=none',
      );
      await must('cmp', '-n', String(MIB), '-i', `0:${String(at)}`, source, file);
    }
    const over = await sh(
      `dd if=${source} of=${file} bs=1M seek=${String(bytes - 512)} oflag=seek_bytes conv=notrunc 2>&1 || true`,
    );
    expect(over).toContain('No space left on device');
    await scene.umount(mountpoint);
    const wanted = readFileSync(source);
    for (const { device } of legs) {
      for (const at of [2 ** 41, 2 ** 42 + 512]) {
        expect(bytesAt(device, at, MIB).equals(wanted), `${device} at ${String(at)}`).toBe(true);
      }
      const end = bytesAt(device, bytes - MIB, MIB);
      expect(end.subarray(0, MIB - 512).equals(wanted.subarray(0, MIB - 512))).toBe(true);
      expect(end.subarray(MIB - 512).equals(wanted.subarray(0, 512))).toBe(true); // what fitted of the last
    }
  });

  it('of a hundred in one mount: each is its own, and the daemon stays small', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `set${String(index).padStart(2, '0')}`);
    const config = scene.config(
      Object.fromEntries(
        names.map((name) => [
          name,
          { regions: [{ device: `./${name}.a` }, { device: `./${name}.b` }], size: MIB },
        ]),
      ),
    );
    await must(DMIOFS, 'init', config);
    const mountpoint = scene.folder('mnt');
    const { pid, sets } = await scene.mount(config, mountpoint);
    expect(sets.map(({ name }) => name)).toEqual(names);
    expect((await must('ls', mountpoint)).trim().split('\n')).toEqual(names);
    await sh(
      `cd ${mountpoint}; for f in *; do { echo $f; head -c 100000 /dev/urandom; } | dd of=$f bs=64k iflag=fullblock conv=notrunc status=none; done`,
    );
    const resident = Number(
      /VmRSS:\s*([0-9]+) kB/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1],
    );
    console.log(`resident with 100 sets: ${String(Math.round(resident / 1024))} MiB`);
    expect((await dmiofs('status', mountpoint)).code).toBe(0);
    expect(
      await must('getfattr', '--absolute-names', '--only-values', '-n', 'user.dmio.status', mountpoint),
    ).toContain('sets=100 complete=100 degraded=0 failed=0');
    // One fails a leg: the others do not notice.
    await must(DMIOFS, 'fail', join(mountpoint, 'set42'), '1');
    expect((await dmiofs('status', mountpoint)).code).toBe(1);
    expect((await dmiofs('status', join(mountpoint, 'set41'))).code).toBe(0);
    await scene.umount(mountpoint);
    for (const name of names) {
      const [a, b] = [readFileSync(scene.path(`${name}.a`)), readFileSync(scene.path(`${name}.b`))];
      expect(a.equals(b), name).toBe(true);
      expect(a.subarray(0, 6).toString()).toBe(`${name}\n`);
    }
  });
});
