import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import { deviceOfNumber, fromTable } from '../../../src/cli/commands/from-table.js';
import { loopOf, tablesOf } from '../../../src/cli/commands/table.js';
import { formatDmTable } from '../../../src/mirror/dm-table.js';
import { parseDmTable } from '../../../src/mirror/dm-table-parser.js';
import { kernelTable, type TableDevice, type TableSet } from '../../../src/mirror/log.js';
import type { LogInspection } from '../../../src/native/log.js';
import type { LegState } from '../../../src/native/set-snapshot.js';

const block = (path: string): TableDevice => ({ path, kind: 'block', loop: null });
const file = (path: string, loop: string | null = null): TableDevice => ({ path, kind: 'file', loop });

function setOf(devices: readonly TableDevice[], log = block('/dev/log')): TableSet {
  return {
    name: 'data',
    count: 131072,
    legs: devices.map((device, index) => ({ device, sector: index * 8 })),
    log,
    regionSectors: 1024,
  };
}

function inspectionOf(states: readonly LegState[], clean = true): LogInspection {
  return {
    sizeBytes: 45056,
    header: 'valid',
    version: 2,
    nrRegions: '128',
    dirty: 0,
    owner: null,
    problem: '',
    record: {
      uuid: 'u',
      generation: 1,
      clean,
      startCount: 1,
      count: 131072,
      syncRegionSectors: 1024,
      legs: states.map((state) => ({
        uuid: 'l',
        state,
        kind: 'block',
        dev: '0',
        inode: '0',
        serial: '',
        sector: 0,
        count: 131072,
        leftGeneration: 0,
        errorKinds: 0,
      })),
    },
  };
}

describe('kernelTable', () => {
  it('is the line over the same legs and log', () => {
    const { table, remarks } = kernelTable(
      setOf([block('/dev/a'), block('/dev/b')]),
      inspectionOf(['in-sync', 'in-sync']),
    );
    expect(formatDmTable(table)).toBe(
      '0 131072 mirror disk 2 /dev/log 1024 2 /dev/a 0 /dev/b 8 1 handle_errors',
    );
    expect(remarks).toEqual([]);
  });

  it('says that files need loop devices, and takes one that is there', () => {
    const { table, remarks } = kernelTable(
      setOf([file('/it is.img', '/dev/loop3'), file("/o'b.img")], file('/x.log')),
      inspectionOf(['in-sync', 'failed']),
    );
    expect(table.legs.map((leg) => leg.device)).toEqual(['/dev/loop3', "/o'b.img"]);
    expect(remarks).toHaveLength(2);
    expect(remarks[0]).toContain("losetup --find --show --direct-io=on '/o'\\''b.img'");
    expect(remarks[1]).toContain('/x.log');
  });

  it.each([
    ['one leg', setOf([block('/a')]), inspectionOf(['in-sync']), '2 to 9'],
    ['ten legs', setOf(Array.from({ length: 10 }, () => block('/a'))), null, '2 to 9'],
    [
      'a primary that is out',
      setOf([block('/a'), block('/b')]),
      inspectionOf(['failed', 'in-sync']),
      'leg 0 is failed',
    ],
    [
      'a leg that is not there',
      setOf([block('/a'), { path: '/b', kind: 'missing', loop: null }]),
      null,
      '/b cannot be opened',
    ],
    ['a blank in a path', setOf([block('/a b'), block('/b')]), null, 'blank'],
    [
      'regions larger than the set',
      { ...setOf([block('/a'), block('/b')]), regionSectors: 2 ** 20 },
      null,
      'region_size',
    ],
  ])('refuses %s', (_, set, inspection, message) => {
    expect(() => kernelTable(set, inspection)).toThrow(message);
  });

  it('warns of a set in use and of a log without a record', () => {
    const set = setOf([block('/a'), block('/b')]);
    expect(kernelTable(set, inspectionOf(['in-sync', 'in-sync'], false)).remarks.join()).toContain('in use');
    expect(kernelTable(set, null).remarks.join()).toContain('no record');
  });
});

describe('tablesOf', () => {
  it('names the lines only when there are several', async () => {
    const sets = [setOf([block('/a'), block('/b')]), { ...setOf([block('/c'), block('/d')]), name: 'other' }];
    const inspect = (): Promise<LogInspection> => Promise.resolve(inspectionOf(['in-sync', 'in-sync']));
    expect((await tablesOf(sets, inspect)).lines.map((line) => line.split(' ')[0])).toEqual([
      'data:',
      'other:',
    ]);
    const { lines } = await tablesOf(sets.slice(1), inspect);
    expect(lines[0]).toMatch(/^0 131072 mirror disk/);
  });

  it('finds no loop device of a file that has none', () => {
    expect(loopOf('/no/such/file')).toBeNull();
  });
});

describe('fromTable', () => {
  it('makes a config', () => {
    const config = fromTable(
      '0 131072 mirror disk 2 /dev/log 1024 2 /dev/a 2048 /dev/b 0 1 handle_errors\n',
      'data',
    );
    expect(parse(config)).toEqual({
      version: 1,
      sets: {
        data: {
          regions: [
            { device: '/dev/a', sector: 2048, count: 131072 },
            { device: '/dev/b', count: 131072 },
          ],
          log: { path: '/dev/log', region_size: '512KiB' },
        },
      },
    });
    expect(config).not.toContain('#');
  });

  it('takes all lines of `dmsetup table` and says what is lost', () => {
    const config = fromTable(
      '# two mirrors\nx: 8 64 mirror core 2 8 nosync 2 /a 0 /b 0\n\ny: 0 64 mirror disk 2 /l 16 2 /c 0 /d 0\n',
      'mirror',
    );
    const sets = (parse(config) as { sets: Record<string, unknown> }).sets;
    expect(Object.keys(sets)).toEqual(['x', 'y']);
    for (const remark of ['at sector 8', 'memory only', "'nosync'", 'did not handle errors'])
      expect(config).toContain(remark);
  });

  it.each([
    ['', 'no table line'],
    ['\n0 64 linear /dev/a 0', 'line 2, column 6'],
    ['0 64 mirror core 1 4 2 a 0 b 0', 'at least 4KiB'],
    ['0 64 mirror core 1 8 2 a 0 b 0\n0 64 mirror core 1 8 2 a 0 b 0', 'two lines'],
    ['a/b: 0 64 mirror core 1 8 2 a 0 b 0', 'name of a set'],
  ])('refuses %j', (input, message) => {
    expect(() => fromTable(input, 'mirror')).toThrow(message);
  });

  it('gives device numbers a path', () => {
    expect(deviceOfNumber('4095:1')).toBe('/dev/block/4095:1');
    const config = fromTable('0 64 mirror core 1 8 2 4095:1 0 /b 0', 'm');
    expect(config).toContain('device: /dev/block/4095:1');
  });

  it('and table are each other’s inverse', () => {
    const legs = fc.array(
      fc.record({
        device: fc.stringMatching(/^\/dev\/[a-z0-9-]{1,12}$/),
        sector: fc.integer({ min: 0, max: 2 ** 40 }),
      }),
      { minLength: 2, maxLength: 9 },
    );
    const powers = fc.integer({ min: 3, max: 16 });
    fc.assert(
      fc.property(legs, powers, fc.integer({ min: 2 ** 16, max: 2 ** 45 }), (given, power, count) => {
        const set: TableSet = {
          name: 'm',
          count,
          legs: given.map((leg) => ({ device: block(leg.device), sector: leg.sector })),
          log: block('/dev/log'),
          regionSectors: 2 ** power,
        };
        const line = formatDmTable(kernelTable(set, null).table);
        const made = (
          parse(fromTable(line, 'm')) as { sets: { m: { regions: unknown[]; log: { path: string } } } }
        ).sets.m;
        expect(made.regions).toEqual(
          given.map((leg) => ({
            device: leg.device,
            ...(leg.sector === 0 ? {} : { sector: leg.sector }),
            count,
          })),
        );
        expect(made.log.path).toBe('/dev/log');
        expect(parseDmTable(line).log.regionSectors).toBe(2 ** power);
      }),
    );
  });
});
