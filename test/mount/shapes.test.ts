/** Sets of every shape. Each: random data through the file, then every leg's part byte by byte. */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, MIB, must, Scene, sh } from '../helpers/mounted.js';

interface LegShape {
  readonly device: string;
  readonly sector: number;
}

let scene: Scene | undefined;
const make = (): Scene => {
  scene = new Scene();
  return scene;
};
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

function part(leg: LegShape, offset: number, bytes: number): Buffer {
  const fd = openSync(leg.device, 'r');
  try {
    const data = Buffer.alloc(bytes);
    expect(readSync(fd, data, 0, bytes, leg.sector * 512 + offset)).toBe(bytes);
    return data;
  } finally {
    closeSync(fd);
  }
}

/** Mounts the legs as one set, writes random ranges of odd sizes, unmounts, compares. */
async function exercise(
  at: Scene,
  legs: readonly LegShape[],
  sectors: number,
  init: readonly string[] = [],
): Promise<void> {
  const config = at.config({ data: { regions: legs, size: sectors * 512 } });
  await must(DMIOFS, 'init', ...init, config);
  const mountpoint = at.folder('mnt');
  await at.mount(config, mountpoint);
  const file = join(mountpoint, 'data');
  const bytes = sectors * 512;
  const model = at.path('model');
  await sh(
    `head -c ${String(bytes)} /dev/urandom > ${model}; dd if=${model} of=${file} bs=1M conv=notrunc,fsync status=none`,
  );
  // Odd pieces, over the edges of blocks and at the very end.
  for (const [seek, count] of [
    [1, 700],
    [4095, 2],
    [bytes - 513, 513],
    [bytes - 1, 1],
    [777, 5000],
  ] as const) {
    await sh(
      `head -c ${String(count)} /dev/urandom > ${at.path('piece')}; for f in ${file} ${model}; do dd if=${at.path('piece')} of=$f bs=${String(count)} oflag=seek_bytes seek=${String(seek)} conv=notrunc status=none; done`,
    );
  }
  await must('cmp', model, file);
  await at.umount(mountpoint);
  const wanted = part({ device: model, sector: 0 }, 0, bytes);
  for (const leg of legs) expect(part(leg, 0, bytes).equals(wanted), leg.device).toBe(true);
}

describe.skipIf(!canMount)('a set', () => {
  it.each([1, 2, 3, 8, 64])('of %i legs', async (count) => {
    const at = make();
    await exercise(
      at,
      Array.from({ length: count }, (_, index) => ({ device: at.path(`leg${String(index)}`), sector: 0 })),
      2048,
    );
  });

  it('whose legs start at other sectors, each at its own, of a count that is no multiple of 8', async () => {
    const at = make();
    const legs = [0, 1, 63, 2048].map((sector, index) => ({
      device: at.image(`leg${String(index)}`, (sector + 5003 + 100) * 512),
      sector,
    }));
    await exercise(at, legs, 5003, ['--assume-clean']);
    // Nothing before or behind the I/O region was touched.
    for (const leg of legs) {
      expect(part({ ...leg, sector: 0 }, 0, leg.sector * 512).every((byte) => byte === 0)).toBe(true);
      expect(part(leg, 5003 * 512, 100 * 512).every((byte) => byte === 0)).toBe(true);
    }
  });

  it('of a block device and an image file', async () => {
    const at = make();
    const loop = await at.loop(at.image('disk', 4 * MIB));
    await exercise(
      at,
      [
        { device: loop, sector: 16 },
        { device: at.path('image'), sector: 3 },
      ],
      4096,
    );
  });

  it('with logical blocks of 4096 bytes on one leg, written in pieces of any size', async () => {
    const at = make();
    const loop = await at.loop(at.image('disk', 4 * MIB), '--sector-size', '4096');
    await exercise(
      at,
      [
        { device: at.image('image', 2 * MIB), sector: 0 },
        { device: loop, sector: 8 },
      ],
      4096,
      ['--assume-clean'],
    );
  });

  it('of 8 TiB, sparse', async () => {
    const at = make();
    const bytes = 8 * 1024 ** 4;
    const config = at.config({
      big: { regions: [{ device: './a.img' }, { device: './b.img' }], size: '8TiB' },
    });
    await must(DMIOFS, 'init', config);
    const mountpoint = at.folder('mnt');
    await at.mount(config, mountpoint);
    const file = join(mountpoint, 'big');
    expect((await must('stat', '-c', '%s', file)).trim()).toBe(String(bytes));
    await sh(
      `printf 'the end' | dd of=${file} bs=7 oflag=seek_bytes seek=${String(bytes - 7)} conv=notrunc status=none`,
    );
    expect(await must('tail', '-c', '7', file)).toBe('the end');
    await at.umount(mountpoint);
    for (const leg of ['a.img', 'b.img'])
      expect(part({ device: at.path(leg), sector: 0 }, bytes - 7, 7).toString()).toBe('the end');
  });

  it('is one of 100 in one mount', async () => {
    const at = make();
    const names = Array.from({ length: 100 }, (_, index) => `set-${String(index)}`);
    const config = at.config(
      Object.fromEntries(
        names.map((name) => [
          name,
          { regions: [{ device: `./${name}.a` }, { device: `./${name}.b` }], size: '1MiB' },
        ]),
      ),
    );
    await must(DMIOFS, 'init', config);
    const mountpoint = at.folder('mnt');
    const { pid, sets } = await at.mount(config, mountpoint);
    expect(sets.length).toBe(100);
    await sh(`cd ${mountpoint}; for f in set-*; do echo $f | dd of=$f conv=notrunc status=none; done`);
    const resident = /VmRSS:\s+(\d+) kB/.exec(await must('cat', `/proc/${String(pid)}/status`))?.[1];
    console.log(`100 sets: ${String(Math.round(Number(resident) / 1024))} MiB resident`);
    await at.umount(mountpoint);
    for (const name of names) {
      for (const leg of ['a', 'b'])
        expect(part({ device: at.path(`${name}.${leg}`), sector: 0 }, 0, name.length).toString()).toBe(name);
    }
  });
});
