/** One test a sentence of the kernel's dm-io text, and of what docs/dm-io.md promises beyond it. */
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addFault,
  BlockDevice,
  type BioVec,
  clearFaults,
  configureDmIo,
  discard,
  dmIo,
  dmIoAsync,
  dmIoAsyncBvec,
  dmIoAsyncVm,
  dmIoBvec,
  dmIoGet,
  dmIoPut,
  dmIoSync,
  dmIoSyncBvec,
  dmIoSyncVm,
  dmIoVm,
  flushSync,
  type IoRegion,
  READ,
  removeFault,
  WRITE,
  writeZeroes,
} from '../../../src/dmio/index.js';
import { Disks, pageList, pattern } from '../../helpers/dmio.js';

let disks: Disks;
let bdevs: BlockDevice[];
const region = (index: number, sector: number, count: number): IoRegion => {
  const bdev = bdevs[index];
  if (bdev === undefined) throw new Error('no such disk');
  return { bdev, sector, count };
};
/** Byte for byte; quicker than toEqual. */
const same = (a: Uint8Array, b: Uint8Array): void => {
  expect(Buffer.compare(a, b)).toBe(0);
};
const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return `${String((error as { code?: unknown }).code)}: ${(error as Error).message}`;
  }
  return 'nothing was thrown';
};

beforeAll(async () => {
  configureDmIo({ faults: true });
  disks = new Disks();
  bdevs = await Promise.all([0, 1, 2].map((index) => disks.disk(`d${String(index)}`, 4096)));
});
afterAll(async () => {
  clearFaults();
  await disks.close();
});

describe('the kernel text', () => {
  it('each io_region indicates a block device along with the starting sector and size', () => {
    const data = pattern(1024, 1);
    expect(dmIoSyncVm([region(0, 10, 2)], WRITE, data).error).toBe(0);
    same(disks.bytes('d0', 10, 2), data);
  });

  it('dm-io can read from one io_region', () => {
    const back = Buffer.alloc(1024);
    expect(dmIoSyncVm([region(0, 10, 2)], READ, back)).toEqual({ error: 0, errorBits: 0n, errnos: [0] });
    same(back, pattern(1024, 1));
    expect(code(() => dmIoSyncVm([region(0, 0, 1), region(1, 0, 1)], READ, back))).toContain(
      'a read takes one',
    );
  });

  it('or write to one or more io_regions, given by an array', () => {
    const data = pattern(4096, 2);
    const { errorBits } = dmIoSyncVm([region(0, 0, 8), region(1, 16, 8), region(2, 40, 4)], WRITE, data);
    expect(errorBits).toBe(0n);
    same(disks.bytes('d0', 0, 8), data);
    same(disks.bytes('d1', 16, 8), data);
    same(disks.bytes('d2', 40, 4), data.subarray(0, 2048));
  });

  it('the first service takes a list of pages, along with an offset into the first', () => {
    const data = pattern(10240, 3);
    const { list } = pageList(data, 1536);
    expect(dmIoSync([region(0, 64, 20), region(1, 65, 20)], WRITE, list, 1536).error).toBe(0);
    same(disks.bytes('d0', 64, 20), data);
    same(disks.bytes('d1', 65, 20), data);
    const into = pageList(new Uint8Array(10240), 512);
    expect(dmIoSync([region(1, 65, 20)], READ, into.list, 512).error).toBe(0);
    same(into.read(), data);
  });

  it('the second takes an array of bio vectors', () => {
    const page = pattern(8192, 4);
    const vecs: BioVec[] = [
      { page, offset: 100, len: 512 },
      { page, offset: 4096, len: 2048 },
      { page, offset: 7, len: 1536 },
    ];
    expect(dmIoSyncBvec([region(2, 8, 8)], WRITE, vecs).error).toBe(0);
    same(
      disks.bytes('d2', 8, 8),
      Buffer.concat([page.subarray(100, 612), page.subarray(4096, 6144), page.subarray(7, 1543)]),
    );
  });

  it('the third takes a buffer, of any typed array and any length', () => {
    const words = new Uint32Array(2048).map((_, index) => index * 3);
    expect(dmIoSyncVm([region(0, 128, 16)], WRITE, words).error).toBe(0);
    const back = new Float64Array(1024);
    expect(dmIoSyncVm([region(0, 128, 16)], READ, back).error).toBe(0);
    expect(new Uint32Array(back.buffer)).toEqual(words);
  });

  it('callers of the async services get a completion call with their context', async () => {
    const context = { mine: true };
    const { list } = pageList(pattern(4096, 5));
    let returned = false;
    const got = await new Promise<unknown[]>((resolve) => {
      dmIoAsync(
        [region(0, 0, 8)],
        WRITE,
        list,
        0,
        (error, given) => {
          resolve([error, given, returned]);
        },
        context,
      );
      returned = true;
    });
    expect(got).toEqual([0n, context, true]);
    expect(got[1]).toBe(context);
  });

  it('the error is a bitset with the success or failure of each region', async () => {
    const rule = addFault({ action: 'error', device: disks.path('d1'), ops: ['write'] });
    const expected = { error: -5, errorBits: 0b010n, errnos: [0, 5, 0] };
    const where = [region(0, 0, 8), region(1, 0, 8), region(2, 0, 8)];
    const data = pattern(4096, 6);
    expect(dmIoSyncVm(where, WRITE, data)).toEqual(expected);
    expect(await dmIoVm(where, WRITE, data)).toEqual(expected);
    const bits = await new Promise((resolve) => {
      dmIoAsyncBvec(where, WRITE, [{ page: data, offset: 0, len: 4096 }], resolve, null);
    });
    expect(bits).toBe(0b010n);
    removeFault(rule);
    // All regions are tried whatever fails.
    same(disks.bytes('d0', 0, 8), data);
    same(disks.bytes('d2', 0, 8), data);
  });

  it('dm_io_get and dm_io_put size the reserve, and put the same number that was got', () => {
    dmIoGet(16);
    expect(() => {
      dmIoPut(16);
    }).not.toThrow();
    expect(
      code(() => {
        dmIoPut(1);
      }),
    ).toContain('ERR_DMIOFS_UNBALANCED');
  });
});

describe('what docs/dm-io.md adds', () => {
  it('a region of count 0 is skipped and its bit stays 0; no region at all is a success', async () => {
    const rule = addFault({ action: 'error', device: disks.path('d1') });
    expect(dmIoSyncVm([region(1, 0, 0), region(0, 0, 1)], WRITE, pattern(512, 1)).errorBits).toBe(0n);
    removeFault(rule);
    expect(await dmIoVm([], WRITE, new Uint8Array())).toEqual({ error: 0, errorBits: 0n, errnos: [] });
  });

  it('a failed read leaves zeros', async () => {
    const rule = addFault({ action: 'error', device: disks.path('d0'), ops: ['read'], times: 1 });
    const page = Buffer.alloc(8192, 0xaa);
    expect((await dmIoBvec([region(0, 0, 8)], READ, [{ page, offset: 512, len: 4096 }])).errorBits).toBe(1n);
    same(page.subarray(512, 4608), Buffer.alloc(4096));
    expect(page[0]).toBe(0xaa);
    expect(page[4608]).toBe(0xaa);
    removeFault(rule);
  });

  it.each([
    ['regions[0].sector', () => dmIoSyncVm([region(0, -1, 1)], WRITE, Buffer.alloc(512))],
    ['regions[0].sector', () => dmIoSyncVm([region(0, 0.5, 1)], WRITE, Buffer.alloc(512))],
    ['regions[0].count', () => dmIoSyncVm([region(0, 0, 2 ** 53)], WRITE, Buffer.alloc(512))],
    [
      'regions[1] ends at sector',
      () => dmIoSyncVm([region(0, 0, 1), region(1, 4096, 1)], WRITE, Buffer.alloc(512)),
    ],
    [
      'regions has 65',
      () =>
        dmIoSyncVm(
          Array.from({ length: 65 }, () => region(0, 0, 1)),
          WRITE,
          Buffer.alloc(512),
        ),
    ],
    [
      'regions[0].bdev',
      () =>
        dmIoSyncVm([{ bdev: {} as unknown as BlockDevice, sector: 0, count: 1 }], WRITE, Buffer.alloc(512)),
    ],
    ['data holds 512', () => dmIoSyncVm([region(0, 0, 2)], WRITE, Buffer.alloc(512))],
    ['data must be', () => dmIoSyncVm([region(0, 0, 1)], WRITE, 'text' as unknown as Uint8Array)],
    ['offset must be', () => dmIoSync([region(0, 0, 1)], WRITE, pageList(Buffer.alloc(512)).list, 100)],
    [
      'pageList[0].page',
      () => dmIoSync([region(0, 0, 1)], WRITE, { page: Buffer.alloc(512), next: null }, 0),
    ],
    ['pageList holds', () => dmIoSync([region(0, 0, 16)], WRITE, pageList(Buffer.alloc(4096)).list, 0)],
    [
      'bvec[0].len',
      () => dmIoSyncBvec([region(0, 0, 1)], WRITE, [{ page: Buffer.alloc(512), offset: 0, len: 100 }]),
    ],
    [
      'bvec[0] ends',
      () => dmIoSyncBvec([region(0, 0, 1)], WRITE, [{ page: Buffer.alloc(512), offset: 1, len: 512 }]),
    ],
    ['rw must be', () => dmIoSyncVm([region(0, 0, 1)], 2 as 0, Buffer.alloc(512))],
    [
      'fn must be',
      () => {
        dmIoAsyncVm([region(0, 0, 1)], WRITE, Buffer.alloc(512), undefined as never, null);
      },
    ],
    [
      'numPages',
      () => {
        dmIoGet(-1);
      },
    ],
  ])('a wrong argument is named before any I/O: %s', (name, run) => {
    const before = disks.bytes('d0');
    expect(code(run)).toContain('ERR_DMIOFS_INVALID_ARG');
    expect(code(run)).toContain(name);
    same(disks.bytes('d0'), before);
  });

  it('a transferred buffer is refused', () => {
    const data = new Uint8Array(512);
    structuredClone(data, { transfer: [data.buffer] });
    expect(code(() => dmIoSyncVm([region(0, 0, 1)], WRITE, data))).toContain('data holds 0 bytes');
    const numbers = new Float64Array(64);
    structuredClone(numbers, { transfer: [numbers.buffer] });
    expect(code(() => dmIoSyncVm([region(0, 0, 1)], WRITE, numbers))).toContain('was transferred');
  });

  it('memory shared between threads works, also where no device can take it as it is', async () => {
    for (const odd of [0, 3]) {
      const shared = new Uint8Array(new SharedArrayBuffer(8192 + odd), odd);
      shared.set(pattern(8192, odd + 40));
      expect(dmIoSyncVm([region(0, 0, 16)], WRITE, shared).error).toBe(0);
      same(disks.bytes('d0', 0, 16), Buffer.from(shared));
      shared.fill(0);
      expect((await dmIoVm([region(0, 0, 16)], READ, shared)).error).toBe(0);
      same(Buffer.from(shared), pattern(8192, odd + 40));
    }
  });

  it('memory that could shrink under the I/O is refused', () => {
    const Resizable = ArrayBuffer as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
    const data = new Uint8Array(new Resizable(4096, { maxByteLength: 65536 }));
    expect(code(() => dmIoSyncVm([region(0, 0, 1)], WRITE, data))).toContain('data lies in a resizable');
    expect(
      code(() => dmIoSyncBvec([region(0, 0, 1)], WRITE, [{ page: data, offset: 0, len: 512 }])),
    ).toContain('bvec[0].page lies in a resizable');
  });

  it('flush, discard and write-zeroes have the same results', async () => {
    dmIoSyncVm([region(0, 0, 64), region(1, 0, 64)], WRITE, Buffer.alloc(32768, 0x55));
    expect(flushSync([region(0, 0, 0), region(1, 0, 64)])).toEqual({
      error: 0,
      errorBits: 0n,
      errnos: [0, 0],
    });
    expect((await discard([region(0, 8, 8), region(1, 8, 8)])).errorBits).toBe(0n);
    expect((await writeZeroes([region(0, 32, 16)])).errorBits).toBe(0n);
    same(disks.bytes('d0', 8, 8), Buffer.alloc(4096));
    same(disks.bytes('d0', 32, 16), Buffer.alloc(8192));
    same(disks.bytes('d0', 16, 16), Buffer.alloc(8192, 0x55));
  });

  it.each(['discard', 'write-zeroes'] as const)(
    'what a device cannot do is made of writes: %s',
    async (op) => {
      dmIoSyncVm([region(0, 0, 64), region(1, 0, 64)], WRITE, Buffer.alloc(32768, 0x66));
      const rule = addFault({ action: 'error', device: disks.path('d1'), ops: [op], error: 95 });
      const run = op === 'discard' ? discard : writeZeroes;
      expect((await run([region(0, 0, 64), region(1, 0, 64)])).errorBits).toBe(0n);
      removeFault(rule);
      same(disks.bytes('d0', 0, 64), disks.bytes('d1', 0, 64));
      same(disks.bytes('d1', 0, 64), Buffer.alloc(32768));
    },
  );

  it('I/O beyond the reserve waits, in order, and is never refused', async () => {
    const order: number[] = [];
    const data = pattern(512, 7);
    await Promise.all(
      Array.from({ length: 1500 }, async (_, index) => {
        await dmIoVm([region(index % 3, index % 4000, 1)], WRITE, data);
        order.push(index);
      }),
    );
    expect(order.length).toBe(1500);
  });

  it('resizing the reserve under load is safe', async () => {
    const data = pattern(4096, 8);
    const work = Array.from({ length: 400 }, (_, index) =>
      dmIoVm([region(0, (index % 400) * 8, 8), region(1, (index % 400) * 8, 8)], WRITE, data),
    );
    for (let turn = 0; turn < 50; turn++) {
      dmIoGet(64);
      if (turn % 2 === 1) dmIoPut(64);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await Promise.all(work)).every(({ error }) => error === 0)).toBe(true);
    dmIoPut(25 * 64);
  });

  it('an error thrown by one callback does not take the call from the others', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    const done = await Promise.all(
      [0, 1, 2, 3].map(
        (index) =>
          new Promise<number>((resolve) => {
            dmIoAsyncVm(
              [region(0, index, 1)],
              WRITE,
              Buffer.alloc(512),
              () => {
                resolve(index);
                if (index === 1) throw new Error('mine');
              },
              null,
            );
          }),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(done).toEqual([0, 1, 2, 3]);
    expect(thrown.map((error) => (error as Error).message)).toEqual(['mine']);
  });

  it('close waits for the requests in flight, and refuses new ones', async () => {
    const bdev = await disks.disk('closing', 64);
    const rule = addFault({ action: 'delay', device: disks.path('closing'), delayMs: 50 });
    let ended = false;
    const write = dmIoVm([{ bdev, sector: 0, count: 8 }], WRITE, pattern(4096, 9)).then(() => {
      ended = true;
    });
    const closed = bdev.close();
    expect(code(() => dmIoSyncVm([{ bdev, sector: 0, count: 1 }], WRITE, Buffer.alloc(512)))).toContain(
      'ERR_DMIOFS_CLOSED',
    );
    await closed;
    await write;
    expect(ended).toBe(true);
    removeFault(rule);
  });

  it('a large buffer in one call works and does not block the loop', async () => {
    const big = await disks.disk('big', 128 * 2048);
    const data = Buffer.alloc(128 * 1024 * 1024, 0x5a);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const result = await dmIoVm([{ bdev: big, sector: 0, count: 128 * 2048 }], WRITE, data);
    clearInterval(timer);
    expect(result.errorBits).toBe(0n);
    expect(turns).toBeGreaterThan(1);
    same(disks.bytes('big', 128 * 2048 - 1, 1), Buffer.alloc(512, 0x5a));
  });

  it('a page list of the promise form reads what bvec and vm have written', async () => {
    const data = pattern(12288, 11);
    await dmIoVm([region(2, 512, 24)], WRITE, data);
    const into = pageList(new Uint8Array(12288), 2048);
    expect((await dmIo([region(2, 512, 24)], READ, into.list, 2048)).error).toBe(0);
    same(into.read(), data);
  });

  it('a device in use is refused, as is what is neither device nor file', async () => {
    await expect(BlockDevice.open(disks.path('d0'), { writable: true })).rejects.toMatchObject({
      code: 'EBUSY',
    });
    await expect(BlockDevice.open('/dev/null', { writable: false })).rejects.toMatchObject({
      code: 'ENOTBLK',
    });
    await expect(BlockDevice.open(disks.path('none'), { writable: false })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  it('a worker that is terminated in the middle of I/O leaves nothing behind', async () => {
    const path = disks.path('worker');
    const bdev = await disks.disk('worker', 2048);
    await bdev.close();
    const index = new URL('../../../dist/dmio/index.js', import.meta.url).href;
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(
        `import(${JSON.stringify(index)}).then(async ({ BlockDevice, dmIoAsyncVm }) => {
          const { parentPort } = await import('node:worker_threads');
          const bdev = await BlockDevice.open(${JSON.stringify(path)}, { writable: true });
          const go = () => dmIoAsyncVm([{ bdev, sector: 0, count: 2048 }], 1, new Uint8Array(1048576).fill(7), go, null);
          for (let i = 0; i < 8; i++) go();
          parentPort.postMessage('busy');
        });`,
        { eval: true },
      );
      await new Promise((resolve, reject) => {
        worker.on('message', resolve);
        worker.on('error', reject);
      });
      await worker.terminate();
    }
    // The device is free again, and this thread's I/O goes on.
    const again = await BlockDevice.open(path, { writable: true });
    expect(dmIoSyncVm([{ bdev: again, sector: 0, count: 1 }], WRITE, Buffer.alloc(512)).error).toBe(0);
    await again.close();
  });
});
