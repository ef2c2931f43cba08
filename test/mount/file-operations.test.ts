/** The rules of a mounted file: truncation, allocation, what is past the end, what is not permitted. */
import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountBench, type MountChild, run } from '../helpers/mount-child.js';

const MIB = 1024 * 1024;
const stock = process.env['DMIOFS_SESSION'] === 'stock';
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

async function filled(child: MountChild, byte: number): Promise<Buffer> {
  const content = Buffer.alloc(MIB, byte);
  await writeFile(fileOf(child), content, { flag: 'r+' });
  return content;
}

async function expectLegs(child: MountChild, content: Buffer): Promise<void> {
  for (const leg of child.options.sets[0]?.legs ?? [])
    expect((await readFile(leg)).equals(content)).toBe(true);
}

async function codeOf(run_: Promise<unknown>): Promise<string> {
  return run_.then(
    () => 'OK',
    (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error),
  );
}

/** Runs `use` on an open file and closes it, whatever happens. */
async function withFile<T>(
  path: string,
  flags: string | number,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

test.each(['auto', 'none'] as const)(
  'O_TRUNC makes zeros of the whole content and keeps the size (cache: %s)',
  async (cache) => {
    const child = await bench.mount(MIB, { cache });
    await filled(child, 1);
    await withFile(fileOf(child), 'w', async (file) => {
      expect((await file.stat()).size).toBe(MIB);
    });
    expect((await readFile(fileOf(child))).equals(Buffer.alloc(MIB))).toBe(true);
    await expectLegs(child, Buffer.alloc(MIB));
  },
);

test('truncate: deny refuses O_TRUNC and changes nothing', async () => {
  const child = await bench.mount(MIB, { truncate: 'deny' });
  const content = await filled(child, 1);
  expect(await codeOf(open(fileOf(child), 'w'))).toBe('EPERM');
  expect((await readFile(fileOf(child))).equals(content)).toBe(true);
});

test.skipIf(!stock)(
  'ftruncate after O_TRUNC below what was written is refused where the page cache cannot be told of it',
  async () => {
    const child = await bench.mount(MIB);
    await withFile(fileOf(child), 'w', async (file) => {
      await file.write(Buffer.alloc(8192, 5), 0, 8192, 0);
      expect(await codeOf(file.truncate(8192))).toBe('OK');
      expect(await codeOf(file.truncate(4096))).toBe('EPERM');
    });
    const expected = Buffer.concat([Buffer.alloc(8192, 5), Buffer.alloc(MIB - 8192)]);
    await expectLegs(child, expected);
    expect((await readFile(fileOf(child))).equals(expected)).toBe(true);
  },
);

test.each(stock ? (['none'] as const) : (['auto', 'none'] as const))(
  'ftruncate after O_TRUNC zeroes from there on, for those who have it cached too (cache: %s)',
  async (cache) => {
    const child = await bench.mount(MIB, { cache });
    const expected = Buffer.concat([Buffer.alloc(1000, 5), Buffer.alloc(MIB - 1000)]);
    await withFile(fileOf(child), 'r', async (reader) => {
      await withFile(fileOf(child), 'w', async (file) => {
        await file.write(Buffer.alloc(MIB, 5), 0, MIB, 0);
        expect((await reader.read(Buffer.alloc(1), 0, 1, 500_000)).buffer[0]).toBe(5);
        await file.truncate(1000);
        expect((await file.stat()).size).toBe(MIB);
        expect((await reader.read(Buffer.alloc(1), 0, 1, 500_000)).buffer[0]).toBe(0);
      });
      const seen = Buffer.alloc(MIB);
      await reader.read(seen, 0, MIB, 0);
      expect(seen.equals(expected)).toBe(true);
      expect((await reader.stat()).size).toBe(MIB);
    });
    await expectLegs(child, expected);
  },
);

test('a write after such an ftruncate counts for the next one', async () => {
  const child = await bench.mount(MIB, { cache: stock ? 'none' : 'auto' });
  await withFile(fileOf(child), 'w', async (file) => {
    await file.write(Buffer.alloc(8192, 5), 0, 8192, 0);
    await file.truncate(4096);
    await file.write(Buffer.alloc(4096, 6), 0, 4096, 900_000);
    await file.truncate(6000);
  });
  const expected = Buffer.alloc(MIB);
  expected.fill(5, 0, 4096);
  await expectLegs(child, expected);
  expect((await readFile(fileOf(child))).equals(expected)).toBe(true);
});

test('any other truncate changes nothing: EPERM, EFBIG for growing, 0 for the size itself', async () => {
  const child = await bench.mount(MIB);
  const content = await filled(child, 2);
  const script =
    'import os,sys\ntry: os.truncate(sys.argv[1], int(sys.argv[2])); print("OK")\nexcept OSError as e: import errno; print(errno.errorcode[e.errno])';
  const truncate = async (n: number): Promise<string> =>
    (await run('python3', ['-c', script, fileOf(child), String(n)])).stdout.trim();
  expect(await truncate(0)).toBe('EPERM');
  expect(await truncate(MIB - 1)).toBe('EPERM');
  expect(await truncate(MIB + 1)).toBe('EFBIG');
  expect(await truncate(MIB)).toBe('OK');
  await withFile(fileOf(child), 'r+', async (file) => {
    expect(await codeOf(file.truncate(5))).toBe('EPERM');
    expect(await codeOf(file.truncate(2 * MIB))).toBe('EFBIG');
    expect(await codeOf(file.truncate(MIB))).toBe('OK');
  });
  expect((await readFile(fileOf(child))).equals(content)).toBe(true);
});

test('cp of a sparse file leaves no old data in its holes', async () => {
  const child = await bench.mount(MIB);
  await filled(child, 3);
  const source = join(bench.directory, 'sparse.img');
  await withFile(source, 'wx', async (file) => {
    await file.write(Buffer.from('begin'), 0, 5, 0);
    await file.write(Buffer.from('middle'), 0, 6, 500_000);
    await file.truncate(MIB);
  });
  await run('cp', ['--sparse=always', source, fileOf(child)]);
  await run('cmp', [source, fileOf(child)]);
  await expectLegs(child, await readFile(source));
});

test('writing past the end takes what fits, then ENOSPC; reading there is the end', async () => {
  const child = await bench.mount(MIB);
  await withFile(fileOf(child), 'r+', async (file) => {
    expect((await file.write(Buffer.alloc(8192, 4), 0, 8192, MIB - 1000)).bytesWritten).toBe(1000);
    expect(await codeOf(file.write(Buffer.alloc(1), 0, 1, MIB))).toBe('ENOSPC');
    expect((await file.read(Buffer.alloc(8192), 0, 8192, MIB - 1000)).bytesRead).toBe(1000);
    expect((await file.read(Buffer.alloc(10), 0, 10, MIB)).bytesRead).toBe(0);
  });
  expect(await codeOf(writeFile(fileOf(child), 'x', { flag: 'a' }))).toBe('ENOSPC');
});

test('fallocate punches and zeroes on every leg, also what is cached, and allocates only what is there', async () => {
  const child = await bench.mount(MIB);
  const content = await filled(child, 8);
  const path = fileOf(child);
  await readFile(path);
  await run('fallocate', ['-p', '-o', '4096', '-l', '8192', path]);
  await run('fallocate', ['-z', '-o', '100001', '-l', '70001', path]);
  content.fill(0, 4096, 12288);
  content.fill(0, 100001, 170002);
  expect((await readFile(path)).equals(content)).toBe(true);
  await run('fallocate', ['-l', String(MIB), path]);
  await run('fallocate', ['-n', '-l', String(MIB), path]);
  await expect(run('fallocate', ['-l', String(MIB + 1), path])).rejects.toThrow('File too large');
  await expect(run('fallocate', ['-n', '-l', String(MIB + 1), path])).rejects.toThrow('No space left');
  await expect(run('fallocate', ['-c', '-o', '0', '-l', '4096', path])).rejects.toThrow(
    'Operation not supported',
  );
  await run('fallocate', ['-p', '-o', String(MIB - 100), '-l', '8192', path]);
  content.fill(0, MIB - 100);
  await expectLegs(child, content);
});

test('BLKGETSIZE64 answers; other ioctls of block devices do not', async () => {
  const child = await bench.mount(MIB);
  expect((await run('blockdev', ['--getsize64', fileOf(child)])).stdout.trim()).toBe(String(MIB));
  await expect(run('blockdev', ['--getss', fileOf(child)])).rejects.toThrow();
});

test('nothing can be created, removed, renamed or linked', async () => {
  const child = await bench.mount(MIB);
  const at = (name: string): string => join(child.options.mountpoint, name);
  for (const [program, ...args] of [
    ['touch', at('new')],
    ['mkdir', at('new')],
    ['rm', '-f', at('data')],
    ['mv', at('data'), at('other')],
    ['ln', at('data'), at('other')],
    ['ln', '-s', 'data', at('other')],
    ['mknod', at('other'), 'p'],
  ] as const) {
    await expect(run(program, args)).rejects.toThrow('Operation not permitted');
  }
  expect((await run('ls', [child.options.mountpoint])).stdout).toBe('data\n');
});

test('a read-only set is read and nothing else', async () => {
  const child = await bench.mount(MIB, { readOnly: true });
  expect((await readFile(fileOf(child))).length).toBe(MIB);
  for (const flags of ['r+', 'w', 'a']) expect(await codeOf(open(fileOf(child), flags))).toBe('EROFS');
});

test('chmod and chown last, and writing changes the times of modification', async () => {
  const child = await bench.mount(MIB);
  await run('chmod', ['640', fileOf(child)]);
  await run('chown', ['12:34', fileOf(child)]);
  await run('touch', ['-d', '@1000000000', fileOf(child)]);
  expect((await run('stat', ['-c', '%a %u %g %Y', fileOf(child)])).stdout.trim()).toBe(
    '640 12 34 1000000000',
  );
  await withFile(fileOf(child), 'r+', (file) => file.write(Buffer.alloc(512), 0, 512, 0));
  const modified = Number((await run('stat', ['-c', '%Y', fileOf(child)])).stdout);
  expect(modified).toBeGreaterThan(1000000000);
});

test('direct and cached opens of one file see each other', async () => {
  const child = await bench.mount(MIB);
  await withFile(fileOf(child), 'r', async (cached) => {
    await cached.read(Buffer.alloc(MIB), 0, MIB, 0);
    await writeFile(join(bench.directory, 'ones'), Buffer.alloc(4096, 0xee));
    await run('dd', [
      `if=${join(bench.directory, 'ones')}`,
      `of=${fileOf(child)}`,
      'bs=4096',
      'seek=3',
      'oflag=direct',
      'conv=notrunc',
    ]);
    const { buffer } = await cached.read(Buffer.alloc(4096), 0, 4096, 3 * 4096);
    expect(buffer.equals(Buffer.alloc(4096, 0xee))).toBe(true);
  });
});
