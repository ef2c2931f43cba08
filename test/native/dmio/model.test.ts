/** The services against a model in memory: random I/O regions, memory kinds, failures, sync and async, one and many in flight. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addFault,
  type BioVec,
  type BlockDevice,
  clearFaults,
  configureDmIo,
  dmIo,
  dmIoBvec,
  type DmIoResult,
  dmIoSync,
  dmIoSyncBvec,
  dmIoSyncVm,
  dmIoVm,
  type IoRegion,
  READ,
  WRITE,
} from '../../../src/dmio/index.js';
import { Disks, pageList, pattern } from '../../helpers/dmio.js';

const SECTORS = 256;
const DEVICES = 3;
// One engine a process: the suite is run for the other one by test/native/dmio/threads.test.ts.
configureDmIo({ engine: process.env['DMIOFS_TEST_ENGINE'] === 'threads' ? 'threads' : 'auto', faults: true });

type Kind = 'page-list' | 'bvec' | 'vm';

interface Step {
  readonly rw: 0 | 1;
  readonly kind: Kind;
  readonly sync: boolean;
  readonly regions: readonly { readonly device: number; readonly sector: number; readonly count: number }[];
  readonly offset: number;
  readonly cuts: readonly number[];
  readonly failing: number | undefined;
}

const region = fc
  .record({
    device: fc.integer({ min: 0, max: DEVICES - 1 }),
    sector: fc.integer({ min: 0, max: SECTORS - 1 }),
    count: fc.integer({ min: 0, max: 60 }),
  })
  .map(({ device, sector, count }) => ({ device, sector, count: Math.min(count, SECTORS - sector) }));

const step: fc.Arbitrary<Step> = fc
  .record({
    rw: fc.constantFrom<0 | 1>(READ, WRITE),
    kind: fc.constantFrom<Kind>('page-list', 'bvec', 'vm'),
    sync: fc.boolean(),
    regions: fc.array(region, { maxLength: 5 }),
    offset: fc.integer({ min: 0, max: 7 }).map((sector) => sector * 512),
    cuts: fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 6 }),
    failing: fc.option(fc.integer({ min: 0, max: DEVICES - 1 }), { nil: undefined, freq: 4 }),
  })
  .map((made) => (made.rw === READ ? { ...made, regions: made.regions.slice(0, 1) } : made));

/** Memory of a kind that holds `data`, at odd addresses, and how to look at it again. */
function memory(
  made: Step,
  data: Buffer,
): { run: (regions: IoRegion[]) => DmIoResult | Promise<DmIoResult>; look: () => Buffer } {
  switch (made.kind) {
    case 'page-list': {
      const { list, read } = pageList(data, made.offset);
      return {
        run: (where) =>
          made.sync ? dmIoSync(where, made.rw, list, made.offset) : dmIo(where, made.rw, list, made.offset),
        look: read,
      };
    }
    case 'bvec': {
      const vecs: BioVec[] = [];
      let at = 0;
      for (let piece = 0; at < data.byteLength; piece++) {
        const len = Math.min((made.cuts[piece] ?? 64) * 512, data.byteLength - at);
        const page = Buffer.alloc(len + 13);
        data.copy(page, 13, at, at + len);
        vecs.push({ page, offset: 13, len });
        at += len;
      }
      return {
        run: (where) => (made.sync ? dmIoSyncBvec(where, made.rw, vecs) : dmIoBvec(where, made.rw, vecs)),
        look: () => Buffer.concat(vecs.map(({ page, offset, len }) => page.subarray(offset, offset + len))),
      };
    }
    case 'vm': {
      const whole = Buffer.alloc(data.byteLength + 5);
      const view = whole.subarray(5);
      data.copy(view);
      return {
        run: (where) => (made.sync ? dmIoSyncVm(where, made.rw, view) : dmIoVm(where, made.rw, view)),
        look: () => view,
      };
    }
    default:
      throw new Error(made.kind satisfies never);
  }
}

describe('the services agree with a model', () => {
  let disks: Disks;
  let bdevs: BlockDevice[];
  let model: Buffer[];

  beforeEach(async () => {
    disks = new Disks();
    bdevs = await Promise.all(
      Array.from({ length: DEVICES }, (_, index) => disks.disk(`d${String(index)}`, SECTORS)),
    );
    model = Array.from({ length: DEVICES }, () => Buffer.alloc(SECTORS * 512));
  });
  afterEach(async () => {
    clearFaults();
    await disks.close();
  });

  async function play(made: Step, seed: number): Promise<void> {
    const longest = Math.max(0, ...made.regions.map(({ count }) => count)) * 512;
    const data = pattern(longest, seed);
    const where = made.regions.flatMap(({ device, sector, count }) => {
      const bdev = bdevs[device];
      return bdev === undefined ? [] : [{ bdev, sector, count }];
    });
    if (made.failing !== undefined)
      addFault({
        action: 'error',
        device: disks.path(`d${String(made.failing)}`),
        ops: [made.rw === READ ? 'read' : 'write'],
      });
    const { run, look } = memory(made, made.rw === READ ? Buffer.alloc(longest, 0xee) : data);
    const { error, errorBits, errnos } = await run(where);
    clearFaults();

    let bits = 0n;
    for (const [index, { device, count }] of made.regions.entries()) {
      if (count > 0 && device === made.failing) bits |= 1n << BigInt(index);
    }
    expect(errorBits).toBe(bits);
    expect(error).toBe(bits === 0n ? 0 : -5);
    expect(errnos).toEqual(made.regions.map((_, index) => (((bits >> BigInt(index)) & 1n) === 1n ? 5 : 0)));
    for (const { device, sector, count } of made.regions) {
      const disk = model[device];
      if (disk === undefined) continue;
      if (made.rw === READ) {
        const wanted =
          device === made.failing
            ? Buffer.alloc(count * 512)
            : disk.subarray(sector * 512, (sector + count) * 512);
        expect(Buffer.compare(look().subarray(0, count * 512), wanted)).toBe(0);
      } else if (device !== made.failing) {
        data.copy(disk, sector * 512, 0, count * 512);
      }
    }
  }

  function overlapsItself({ regions }: Step): boolean {
    return regions.some((one, index) =>
      regions.some(
        (other, at) =>
          at < index &&
          one.device === other.device &&
          one.sector < other.sector + other.count &&
          other.sector < one.sector + one.count,
      ),
    );
  }

  it('one request after the other', async () => {
    let seed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        // Regions of one write that overlap on one device land in any order: nothing is promised there.
        for (const made of steps.filter((one) => !overlapsItself(one))) await play(made, seed++);
        for (const [index, disk] of model.entries())
          expect(Buffer.compare(disks.bytes(`d${String(index)}`), disk)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('many in flight at once, each on its own sectors', async () => {
    const width = 8;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom<Kind>('page-list', 'bvec', 'vm'), fc.integer({ min: 0, max: 7 })), {
          minLength: 1,
          maxLength: SECTORS / width,
        }),
        async (kinds) => {
          await Promise.all(
            kinds.map(async ([kind, offset], index) => {
              const data = pattern(width * 512, index + kinds.length);
              const where = bdevs.map((bdev) => ({ bdev, sector: index * width, count: width }));
              const { run } = memory(
                {
                  rw: WRITE,
                  kind,
                  sync: false,
                  regions: [],
                  offset: offset * 512,
                  cuts: [3, 1],
                  failing: undefined,
                },
                data,
              );
              expect((await run(where)).errorBits).toBe(0n);
              for (const disk of model) data.copy(disk, index * width * 512);
            }),
          );
          for (const [index, disk] of model.entries())
            expect(Buffer.compare(disks.bytes(`d${String(index)}`), disk)).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });
});
