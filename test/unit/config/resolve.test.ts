/** What the devices make of a config: every refusal at its place. Loop devices, partitions and mounts: test/mount/refusals.test.ts. */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { type ResolvedConfig, resolveConfig, type ResolveOptions } from '../../../src/config/resolve.js';
import { ConfigFolder } from '../../helpers/config-file.js';
import { fakeProbe } from '../../helpers/fake-probe.js';

const MIB = 1024 * 1024;
let folder: ConfigFolder;
beforeEach(() => {
  folder = new ConfigFolder();
  folder.image('a.img', MIB);
  folder.image('b.img', MIB);
  folder.image('small.img', MIB / 2);
});
afterEach(() => {
  folder.remove();
});

/** A config with these lines under `sets:`, which begin at line 4. */
function resolve(sets: string, options: Partial<ResolveOptions> = {}): ResolvedConfig {
  const file = folder.write(`version: 1\nstate_dir: state\nsets:\n${sets}`);
  return resolveConfig(loadConfig(file), { probeDevice: fakeProbe(), ...options });
}
const refusals = (sets: string, options: Partial<ResolveOptions> = {}): readonly string[] =>
  folder.refusals(() => resolve(sets, options));

/** One set; its regions begin at line 6, column 9. */
const one = (...regions: readonly string[]): string =>
  `  s:\n    regions:\n${regions.map((region) => `      - ${region}\n`).join('')}`;
const BLOCK: { kind: 'block'; rdev: string } = { kind: 'block', rdev: '65535' };

describe('the count of a set', () => {
  test.each([
    ['the whole device', one('device: a.img'), 2048],
    ['up to the end', one('{device: a.img, sector: 48}'), 2000],
    ['the smallest', one('device: a.img', 'device: small.img'), 1024],
    ['count', one('{device: a.img, count: 8}', 'device: small.img'), 8],
    ['size', `${one('device: a.img', 'device: small.img')}    size: 4KiB\n`, 8],
    ['size with a missing leg', `${one('device: a.img', 'device: gone.img')}    size: 4KiB\n`, 8],
    ['the leg that is there', one('device: a.img', 'device: gone.img'), 2048],
  ])('%s', (_, sets, count) => {
    const [set] = resolve(sets).sets;
    expect(set?.count).toBe(count);
  });

  test('a leg that cannot be opened is missing, not refused', () => {
    const { sets } = resolve(one('device: a.img', 'device: gone.img', 'device: /dev/broken'), {
      probeDevice: fakeProbe({ '/dev/broken': 'EIO' }),
    });
    expect(sets[0]?.legs.map(({ probe }) => probe !== undefined)).toEqual([true, false, false]);
  });
});

describe('refused', () => {
  const OVER = 'each I/O region and each log needs its own place';
  test.each<[string, string, readonly string[], Partial<ResolveOptions>?]>([
    [
      'an I/O region beyond the end',
      one('{device: a.img, sector: 2000, count: 49}'),
      [
        'c.yaml:6:18: sets.s.regions[0].device: ends at sector 2048, but the I/O region goes to sector 2049 (start 2000, count 49)',
      ],
    ],
    [
      'a start beyond the end',
      one('{device: a.img, sector: 2048}'),
      ["c.yaml:6:33: sets.s.regions[0].sector: starts at or beyond the device's end: it has 2048 sectors"],
    ],
    [
      'a size beyond the end of each that is too small',
      `${one('device: a.img', 'device: small.img')}    size: 1MiB\n`,
      [
        'c.yaml:7:17: sets.s.regions[1].device: ends at sector 1024, but the I/O region goes to sector 2048 (start 0, count 2048)',
      ],
    ],
    [
      'unequal counts, each of them',
      one('{device: a.img, count: 8}', '{device: b.img, count: 16}', '{device: small.img, count: 24}'),
      [
        'c.yaml:7:32: sets.s.regions[1].count: is 16 sectors, but regions[0] has 8: all I/O regions of a set have the same count',
        'c.yaml:8:36: sets.s.regions[2].count: is 24 sectors, but regions[0] has 8: all I/O regions of a set have the same count',
      ],
    ],
    [
      'a count that is not the size',
      `${one('{device: a.img, count: 16}')}    size: 4KiB\n`,
      ['c.yaml:6:32: sets.s.regions[0].count: is 16 sectors, but size says 8: leave one of them out'],
    ],
    [
      'two I/O regions of a set that overlap',
      one('{device: a.img, count: 16}', '{device: a.img, sector: 15, count: 16}'),
      [
        `c.yaml:7:18: sets.s.regions[1].device: overlaps sets.s.regions[0].device (a.img from sector 0) by 512B: ${OVER}`,
      ],
    ],
    [
      'two missing I/O regions that overlap',
      one('{device: g.img, count: 16}', '{device: ./x/../g.img, sector: 8, count: 16}'),
      [
        `c.yaml:7:18: sets.s.regions[1].device: overlaps sets.s.regions[0].device (g.img from sector 0) by 4KiB: ${OVER}`,
      ],
    ],
    [
      'a log that is a leg of another set',
      '  s: {regions: [{device: a.img}], log: {path: b.img}}\n  t: {regions: [{device: b.img}]}\n',
      [`c.yaml:5:26: sets.t.regions[0].device: overlaps sets.s.log.path (the log b.img) by 1MiB: ${OVER}`],
    ],
    [
      'a log of two sets that is not there yet',
      '  s: {regions: [{device: a.img}], log: {path: l}}\n  t: {regions: [{device: b.img}], log: {path: l}}\n',
      [
        'c.yaml:5:47: sets.t.log.path: overlaps sets.s.log.path (the log l): each I/O region and each log needs its own place',
      ],
    ],
    [
      'a start that is not whole logical blocks',
      one('{device: /dev/x, sector: 4, count: 8}'),
      [
        "c.yaml:6:34: sets.s.regions[0].sector: must be a multiple of 8: the device's logical blocks are 4096 bytes",
      ],
      { probeDevice: fakeProbe({ '/dev/x': { ...BLOCK, sizeBytes: MIB, logicalBlockSize: 4096 } }) },
    ],
    [
      'a count that is not whole logical blocks',
      one('{device: /dev/x, count: 12}'),
      [
        'c.yaml:6:18: sets.s.regions[0].device: has logical blocks of 4096 bytes, and the set\'s 12 sectors are not a multiple of that: set "size"',
      ],
      { probeDevice: fakeProbe({ '/dev/x': { ...BLOCK, sizeBytes: MIB, logicalBlockSize: 4096 } }) },
    ],
    [
      'a device that cannot be written, also as log',
      '  s: {regions: [{device: a.img}], log: {path: b.img}}\n',
      [
        'c.yaml:4:26: sets.s.regions[0].device: cannot be written: it is read-only',
        'c.yaml:4:47: sets.s.log.path: cannot be written: it is read-only',
      ],
      { probeDevice: (path) => ({ ...fakeProbe()(path), readOnly: true }) },
    ],
    [
      'a device that may not be opened',
      one('device: a.img'),
      ['c.yaml:6:17: sets.s.regions[0].device: open a.img: EACCES'],
      {
        probeDevice: (path) => fakeProbe({ [path]: path.endsWith('.img') ? 'EACCES' : 'ENOENT' })(path),
      },
    ],
    [
      'a set that is not in the file',
      one('device: a.img'),
      ['c.yaml:4:3: sets: there is no set "t" in this config; it has s'],
      { only: ['t'] },
    ],
  ])('%s', (_, sets, expected, options) => {
    const found = refusals(sets, options);
    expect(found).toEqual(expected);
  });

  test.each([
    ['a symbolic link', (): void => symlinkSync('a.img', folder.path('l.img'))],
    ['a hard link', (): void => linkSync(folder.path('a.img'), folder.path('l.img'))],
  ])('the same file by %s', (_, link) => {
    link();
    expect(refusals(`  s: {regions: [{device: a.img}]}\n  t: {regions: [{device: l.img}]}\n`)).toEqual([
      `c.yaml:5:26: sets.t.regions[0].device: overlaps sets.s.regions[0].device (a.img from sector 0) by 1MiB: ${OVER}`,
    ]);
  });

  test('what lies under the mountpoint, also by a link: a leg, a log, the state folder', () => {
    mkdirSync(folder.path('mnt'));
    symlinkSync('mnt', folder.path('way'));
    folder.image('mnt/c.img', MIB);
    const sets = '  s: {regions: [{device: way/c.img}], log: {path: mnt/l}}\n';
    const why = `lies under the mountpoint ${folder.path('mnt')} itself`;
    const wait = ': the mount would wait for itself';
    expect(folder.refusals(() => resolve(sets, { mountpoint: folder.path('mnt') }))).toEqual(
      [
        `c.yaml:4:26: sets.s.regions[0].device: ${why}${wait}`,
        `c.yaml:4:51: sets.s.log.path: ${why}${wait}`,
      ].map((line) => line.replaceAll(`${folder.directory}/`, '')),
    );
    expect(
      resolve('  s: {regions: [{device: a.img}]}\n', { mountpoint: folder.path('mn') }).sets,
    ).toHaveLength(1);
    expect(
      refusals('  s: {regions: [{device: a.img}], log: {path: l}}\n', { mountpoint: folder.path('state') }),
    ).toEqual([`c.yaml:2:12: state_dir: state lies under the mountpoint state itself`]);
    expect(
      folder.refusals(() =>
        resolve('  s: {regions: [{device: /dev/x}]}\n', {
          probeDevice: fakeProbe({ '/dev/x': BLOCK }),
          mountpoint: folder.directory,
        }),
      ),
    ).toContain(
      `c.yaml:1:1: the config lies under the mountpoint ${folder.directory} itself, which would hide it`,
    );
  });

  test('the config itself, as leg and as log, by another name too', () => {
    linkSync(folder.write(''), folder.path('l.img'));
    const found = refusals(
      '  s: {regions: [{device: a.img}, {device: l.img}]}\n  t: {regions: [{device: b.img}], log: {path: ./c.yaml}}\n',
    );
    const why = 'is this config itself: give a block device or an image file';
    expect(found).toContain(`c.yaml:4:43: sets.s.regions[1].device: ${why}`);
    expect(found).toContain(`c.yaml:5:47: sets.t.log.path: ${why}`);
  });

  test('a state folder that is none', () => {
    writeFileSync(folder.path('state'), '');
    expect(refusals('  s: {regions: [{device: a.img}], log: {path: l}}\n')).toEqual([
      'c.yaml:2:12: state_dir: state is not a folder: give a folder that can be written as state_dir',
    ]);
  });
});

describe('of two sets, when one is wanted', () => {
  const sets =
    '  s: {regions: [{device: a.img}]}\n  t: {regions: [{device: b.img}, {device: a.img, sector: 2047}]}\n';

  test('an overlap with the other is refused, whichever comes first', () => {
    expect(refusals(sets, { only: ['s'] })).toHaveLength(1);
    expect(refusals(sets, { only: ['t'] })).toHaveLength(1);
  });

  test('what else is wrong with the other is not', () => {
    const other =
      '  s: {regions: [{device: a.img}]}\n  t: {regions: [{device: b.img, sector: 9999}, {device: b.img, sector: 9999}]}\n';
    expect(resolve(other, { only: ['s'] }).sets.map(({ name }) => name)).toEqual(['s']);
    expect(refusals(other)).not.toEqual([]);
  });
});

describe('before init', () => {
  const creating = { creating: true };

  test.each<[string, string, string]>([
    [
      'without a size',
      one('device: g.img'),
      'c.yaml:5:5: sets.s: has no image file yet and no size: add the key "size", such as size: 1GiB',
    ],
    [
      'beside one that is there, without a size',
      one('device: a.img', 'device: g.img'),
      'c.yaml:5:5: sets.s: has a missing image file and no size: add the key "size", so that it can be created',
    ],
    [
      'under /dev',
      `${one('device: /dev/disk/by-id/no-such-disk')}    size: 1MiB\n`,
      'c.yaml:6:17: sets.s.regions[0].device: does not exist: a disk that is not there is not made into a file under /dev',
    ],
    [
      'in no folder',
      `${one('device: no/g.img')}    size: 1MiB\n`,
      'c.yaml:6:17: sets.s.regions[0].device: cannot be made: there is no folder no',
    ],
    [
      'before one that is there, over which it would be copied',
      `${one('device: g.img', 'device: a.img')}    size: 1MiB\n`,
      'c.yaml:6:17: sets.s.regions[0].device: does not exist: a new, empty image would be copied over regions[1]; put the I/O region that holds the data first',
    ],
    [
      'as a log under /dev',
      '  s: {regions: [{device: a.img}], log: {path: /dev/no-such-log}}\n',
      'c.yaml:4:47: sets.s.log.path: does not exist: a disk that is not there is not made into a file under /dev',
    ],
  ])('a missing image %s is refused', (_, sets, expected) => {
    expect(refusals(sets, creating)).toEqual([expected]);
  });

  test('a link to nothing, and what is there but cannot be opened, are no images to make', () => {
    symlinkSync('nothing', folder.path('l.img'));
    expect(refusals(`${one('device: l.img')}    size: 1MiB\n`, creating)).toEqual([
      'c.yaml:6:17: sets.s.regions[0].device: is a symbolic link to nothing',
    ]);
    const probeDevice = (path: string): ReturnType<ReturnType<typeof fakeProbe>> =>
      fakeProbe(path.endsWith('b.img') ? { [path]: 'EIO' } : {})(path);
    expect(
      refusals(`${one('device: a.img', 'device: b.img')}    size: 1MiB\n`, { ...creating, probeDevice }),
    ).toContain('c.yaml:7:17: sets.s.regions[1].device: open b.img: EIO');
  });

  test('a missing image after one that is there is made', () => {
    expect(resolve(`${one('device: a.img', 'device: g.img')}    size: 1MiB\n`, creating).sets[0]?.count).toBe(
      2048,
    );
  });
});

test('regions that touch do not overlap', () => {
  expect(refusals(one('{device: a.img, count: 1024}', '{device: a.img, sector: 1024}'))).toEqual([]);
});
