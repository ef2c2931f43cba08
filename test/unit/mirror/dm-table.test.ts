import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type DmTable, formatDmTable } from '../../../src/mirror/dm-table.js';
import { DmTableError, parseDmTable } from '../../../src/mirror/dm-table-parser.js';

const LINE = '0 131072 mirror disk 2 /dev/sdc 1024 2 /dev/sda 2048 /dev/sdb 0 1 handle_errors';

const word = fc.stringMatching(/^[!-9;-~]{1,20}$/);
const sync = fc.constantFrom('sync' as const, 'nosync' as const, null);
const regionSectors = fc.integer({ min: 1, max: 20 }).map((power) => 2 ** power);
const sectors = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const tables: fc.Arbitrary<DmTable> = fc
  .record({
    name: fc.option(word),
    start: sectors,
    length: fc.integer({ min: 2 ** 20, max: Number.MAX_SAFE_INTEGER }),
    log: fc.oneof(
      fc.record({ kind: fc.constant('core' as const), regionSectors, sync }),
      fc.record({ kind: fc.constant('disk' as const), device: word, regionSectors, sync }),
    ),
    legs: fc.array(fc.record({ device: word, sector: sectors }), { minLength: 2, maxLength: 9 }),
    handleErrors: fc.boolean(),
    keepLog: fc.boolean(),
  })
  .map((table) => ({ ...table, keepLog: table.keepLog && table.handleErrors }));

describe('parseDmTable', () => {
  it('reads every part of a line', () => {
    expect(parseDmTable(LINE)).toEqual({
      name: null,
      start: 0,
      length: 131072,
      log: { kind: 'disk', device: '/dev/sdc', regionSectors: 1024, sync: null },
      legs: [
        { device: '/dev/sda', sector: 2048 },
        { device: '/dev/sdb', sector: 0 },
      ],
      handleErrors: true,
      keepLog: false,
    });
  });

  it.each([
    ['0 64 mirror core 1 8 2 8:0 0 8:16 0', { log: { kind: 'core', regionSectors: 8, sync: null } }],
    ['0 64 mirror core 2 8 nosync 2 a 0 b 0', { log: { kind: 'core', regionSectors: 8, sync: 'nosync' } }],
    ['0 64 mirror disk 3 l 2 sync 2 a 0 b 0 0', { handleErrors: false }],
    ['0 64 mirror core 1 64 2 a 0 a 0 2 keep_log handle_errors', { handleErrors: true, keepLog: true }],
    ['vg-lv:\t0 64  mirror core 1 8 2 a 0 b 0 ', { name: 'vg-lv' }],
  ])('takes %s', (line, expected) => {
    expect(parseDmTable(line)).toMatchObject(expected);
  });

  it.each([
    ['', 1, 'start sector'],
    ['x 64 mirror', 1, 'decimal number'],
    ['0 -5 mirror', 3, 'decimal number'],
    ['0 0 mirror', 3, '0 sectors'],
    ['0 99999999999999999999 mirror', 3, '2^53'],
    ['0 64', 5, 'the target is expected'],
    ['0 64 linear /dev/sda 0', 6, "target 'linear'"],
    ['0 64 mirror userspace 1 8 2 a 0 b 0', 13, 'cluster'],
    ['0 64 mirror tape 1 8 2 a 0 b 0', 13, "log type 'tape'"],
    ['0 64 mirror core 99 8 2 a 0 b 0', 18, '99 log arguments'],
    ['0 64 mirror core 1 7 2 a 0 b 0', 20, 'power of two'],
    ['0 64 mirror core 1 1 2 a 0 b 0', 20, 'power of two'],
    ['0 64 mirror core 1 0 2 a 0 b 0', 20, 'power of two'],
    ['0 64 mirror core 1 128 2 a 0 b 0', 20, 'larger than the mirror'],
    ['0 64 mirror core 2 8 maybe 2 a 0 b 0', 22, 'sync or nosync'],
    ['0 64 mirror core 3 8 sync 2 2 a 0 b 0', 27, 'too much'],
    ['0 64 mirror disk 1 /dev/l 2 a 0 b 0', 27, 'region size'],
    ['0 64 mirror core 0 2 a 0 b 0', 20, 'region size'],
    ['0 64 mirror core 1 8 1 a 0', 22, '2 to 9'],
    ['0 64 mirror core 1 8 10 a 0', 22, '2 to 9'],
    ['0 64 mirror core 1 8 2 a 0 b', 29, 'start sector of leg 1'],
    ['0 64 mirror core 1 8 2 a 0 b c', 30, 'start sector of leg 1'],
    ['0 64 mirror core 1 8 2 a 0 b 0 1 keep_log', 34, 'needs handle_errors'],
    ['0 64 mirror core 1 8 2 a 0 b 0 1 fast', 34, "feature 'fast'"],
    ['0 64 mirror core 1 8 2 a 0 b 0 0 handle_errors', 34, 'too much'],
    ['0 64 mirror core 1 8 2 a 0 b 0 2 handle_errors', 32, '2 features'],
  ])('refuses %j at column %i: %s', (line, column, message) => {
    const parse = (): unknown => parseDmTable(line);
    expect(parse).toThrow(DmTableError);
    expect(parse).toThrow(message);
    expect(parse).toThrow(`column ${String(column)}:`);
  });

  it('reads what formatDmTable writes', () => {
    expect(formatDmTable(parseDmTable(LINE))).toBe(LINE);
    fc.assert(
      fc.property(tables, (table) => {
        expect(parseDmTable(formatDmTable(table))).toEqual(table);
      }),
    );
  });

  it('never fails but with a DmTableError', () => {
    const words = fc.oneof(word, fc.constantFrom(...LINE.split(' '), 'core', '0', '2', 'sync', 'keep_log'));
    fc.assert(
      fc.property(fc.array(words, { maxLength: 20 }), (line) => {
        try {
          parseDmTable(line.join(' '));
        } catch (error) {
          expect(error).toBeInstanceOf(DmTableError);
        }
      }),
    );
  });
});
