/** Every rule of a config's text: what is refused, where, and in which words; and what its values become. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Config, defaultStateDir, loadConfig } from '../../../src/config/load.js';
import { ConfigFolder } from '../../helpers/config-file.js';

let folder: ConfigFolder;
beforeAll(() => {
  folder = new ConfigFolder();
});
afterAll(() => {
  folder.remove();
});

const load = (text: string | Uint8Array): Config => loadConfig(folder.write(text));
const refusals = (text: string | Uint8Array): readonly string[] => folder.refusals(() => load(text));

/** A config whose set has this line at line 5, column 5. */
const withKey = (line: string): string =>
  `version: 1\nsets:\n  data:\n    regions: [{device: a.img}]\n    ${line}\n`;
/** A config whose first I/O region is this, from line 5, column 9. */
const withRegion = (region: string): string =>
  `version: 1\nsets:\n  data:\n    regions:\n      - ${region}\n`;

const SIZE = 'must be a size that is a multiple of 512 bytes, such as 1GiB';
const TIMEOUT = 'must be a duration such as 30s or 500ms, at most 24h; 0: no limit';
const SYNC_REGION = 'must be a power of two from 4KiB to 1TiB, such as 512KiB';
const MODE = 'must be permission bits in quotes, such as "0600"';
const SECTORS = 'must be a whole number of sectors, 0 to 8796093022208';
const NO_USER = 'there is no such user on this machine: give one that there is, or its number';
const TWICE = 'is there twice: a key, and so the name of a set, must be unique';

describe('a key of a set', () => {
  test.each([
    ['size: 513', '5:11', 'size', SIZE],
    ['size: 0', '5:11', 'size', SIZE],
    ['size: big', '5:11', 'size', SIZE],
    ['size: 5PiB', '5:11', 'size', SIZE],
    ['size:', '5:10', 'size', SIZE],
    ['size: [1]', '5:11', 'size', SIZE],
    ['read_policy: fast', '5:18', 'read_policy', 'must be one of primary, round-robin, fastest'],
    [
      'read_policy: round_robin',
      '5:18',
      'read_policy',
      'must be one of primary, round-robin, fastest; did you mean "round-robin"?',
    ],
    ['log: x.log', '5:10', 'log', 'must be a map of keys, not text'],
    ['log: {path: ""}', '5:17', 'log.path', 'must be a path, not empty'],
    ['log: {path: "a\\0b"}', '5:17', 'log.path', 'must be a path: no NUL, only whole characters'],
    ['log: {region_size: 2KiB}', '5:24', 'log.region_size', SYNC_REGION],
    ['log: {region_size: 6KiB}', '5:24', 'log.region_size', SYNC_REGION],
    ['log: {region_size: true}', '5:24', 'log.region_size', SYNC_REGION],
    ['log: {sise: 1}', '5:11', 'log.sise', 'is not a known key; here are: path, region_size'],
    ['io_timeout: soon', '5:17', 'io_timeout', TIMEOUT],
    ['io_timeout: 0.4ms', '5:17', 'io_timeout', TIMEOUT],
    ['io_timeout: 25h', '5:17', 'io_timeout', TIMEOUT],
    ['io_timeout: -1', '5:17', 'io_timeout', TIMEOUT],
    [
      'read_error_limit: -1',
      '5:23',
      'read_error_limit',
      'must be a number of errors, 0 to 1000000; 0: no limit',
    ],
    ['start: most', '5:12', 'start', 'must be one of any, majority, all'],
    ['mode: 0600', '5:11', 'mode', MODE],
    ['mode: "0800"', '5:11', 'mode', MODE],
    ['mode: "4755"', '5:11', 'mode', MODE],
    ['owner: ""', '5:12', 'owner', 'must be a name or a number'],
    ['owner: -1', '5:12', 'owner', 'must be a name or a number'],
    ['owner: 4294967295', '5:12', 'owner', 'must be a name or a number'],
    ['owner: no-such-user-here', '5:12', 'owner', NO_USER],
    ['owner: --help', '5:12', 'owner', NO_USER],
    ['owner: "4294967295"', '5:12', 'owner', NO_USER],
    [
      'group: no-such-group-here',
      '5:12',
      'group',
      'there is no such group on this machine: give one that there is, or its number',
    ],
    ['read_only: yes', '5:16', 'read_only', 'must be true or false'],
    ['truncate: never', '5:15', 'truncate', 'must be one of zero, deny'],
    ['cache: all', '5:12', 'cache', 'must be one of auto, none, writeback'],
    ['redonly: true', '5:5', 'redonly', 'is not a known key; did you mean "read_only"?'],
    ['read-policy: primary', '5:5', 'read-policy', 'is not a known key; did you mean "read_policy"?'],
    [
      'colour: red',
      '5:5',
      'colour',
      'is not a known key; here are: regions, size, read_policy, log, io_timeout, read_error_limit, start, mode, owner, group, read_only, truncate, cache',
    ],
    ['? [a]\n    : 1', '5:7', '', 'a key must be plain text'],
  ])('%s', (line, place, key, message) => {
    const [first, ...more] = refusals(withKey(line));
    expect(more).toEqual([]);
    expect(first).toMatch(new RegExp(`^c\\.yaml:${place}: `));
    if (key !== '') expect(first).toBe(`c.yaml:${place}: sets.data.${key}: ${message}`);
    else expect(first).toContain(message);
  });

  test.each([
    ['size: 1GiB', { size: 1024 ** 3 }],
    ['size: 1024', { size: 1024 }],
    ['read_policy: fastest', { readPolicy: 'fastest' }],
    ['log: {region_size: 4KiB}', { syncRegionSectors: 8 }],
    ['log: {region_size: 1048576}', { syncRegionSectors: 2048 }],
    ['io_timeout: 0', { ioTimeoutMs: 0 }],
    ['read_error_limit: 0', { readErrorLimit: 0 }],
    ['io_timeout: 1.5', { ioTimeoutMs: 1500 }],
    ['io_timeout: 24h', { ioTimeoutMs: 86_400_000 }],
    ['start: all', { start: 'all' }],
    ['mode: "640"', { mode: 0o640 }],
    ['owner: root', { uid: 0 }],
    ['owner: 12345', { uid: 12_345 }],
    ['group: "12345"', { gid: 12_345 }],
    ['read_only: true', { readOnly: true }],
    ['truncate: deny', { truncate: 'deny' }],
    ['cache: writeback', { cache: 'writeback' }],
  ])('%s is taken', (line, value) => {
    expect(load(withKey(line)).sets[0]).toMatchObject(value);
  });
});

describe('an I/O region', () => {
  test.each([
    ['sector: 1', '5:9', 'device', 'is missing'],
    ['device: ""', '5:17', 'device', 'must be a path, not empty'],
    ['device: 7', '5:17', 'device', 'must be text, not the number 7'],
    ['{device: a, sector: -1}', '5:29', 'sector', SECTORS],
    ['{device: a, sector: 1.5}', '5:29', 'sector', SECTORS],
    ['{device: a, sector: 1e300}', '5:29', 'sector', SECTORS],
    ['{device: a, sector: 1KiB}', '5:29', 'sector', SECTORS],
    ['{device: a, count: 0}', '5:28', 'count', 'must be at least 1 sector'],
    [
      '{device: a, replacement: {device: b, count: 1}}',
      '5:46',
      'replacement.count',
      'is not a known key; here are: device, sector',
    ],
    ['{devise: a, device: b}', '5:10', 'devise', 'is not a known key; did you mean "device"?'],
  ])('%s', (region, place, key, message) => {
    expect(refusals(withRegion(region))).toEqual([
      `c.yaml:${place}: sets.data.regions[0].${key}: ${message}`,
    ]);
  });

  test('there is one at least, and there are 64 at most', () => {
    const of = (many: number): string =>
      `version: 1\nsets:\n  data:\n    regions: [${Array.from({ length: many }, () => '{device: a}').join(', ')}]\n`;
    expect(refusals(of(0))).toEqual(['c.yaml:4:14: sets.data.regions: must name at least one I/O region']);
    expect(refusals(of(64))).toEqual([]);
    expect(refusals(of(65))).toEqual(['c.yaml:4:14: sets.data.regions: must name at most 64 I/O regions']);
    expect(refusals('version: 1\nsets:\n  data: {}\n')).toEqual([
      'c.yaml:3:9: sets.data.regions: is missing: it is a list of I/O regions, each with a device',
    ]);
  });
});

describe('the name of a set', () => {
  test.each([
    ['a/b', 'must not contain "/": it is a file\'s name under the mountpoint'],
    ['""', 'must not be empty, "." or ".."'],
    ['.', 'must not be empty, "." or ".."'],
    ['..', 'must not be empty, "." or ".."'],
    ['"a\\0b"', 'must not contain control characters'],
    ['"a\\nb"', 'must not contain control characters'],
    ['"\\uD800"', 'must not contain halves of characters'],
    ['ä'.repeat(128), 'must be at most 255 bytes long'],
  ])('%s is refused', (name, message) => {
    const [first, ...more] = refusals(`version: 1\nsets:\n  ${name}: {regions: [{device: a}]}\n`);
    expect(more).toEqual([]);
    expect(first).toMatch(/^c\.yaml:3:3: sets\./);
    expect(first?.endsWith(`: the name ${message}`)).toBe(true);
  });

  test.each(['data', '0600', '1', 'true', 'null', 'constructor', 'a b', '日本', 'ä'.repeat(127)])(
    '%s is the name as it is written',
    (name) => {
      expect(load(`version: 1\nsets:\n  ${name}: {regions: [{device: a}]}\n`).sets[0]?.name).toBe(name);
    },
  );

  test.each([
    ['data', 'data'],
    ['data', '"data"'],
    ['1', '"1"'],
  ])('%s and %s are the same name twice', (first, second) => {
    const region = '{regions: [{device: a}]}';
    expect(refusals(`version: 1\nsets:\n  ${first}: ${region}\n  ${second}: ${region}\n`)).toEqual([
      `c.yaml:4:3: sets.${first}: ${TWICE}`,
    ]);
  });

  test('__proto__ is no name, and is not passed over either', () => {
    const region = '{regions: [{device: a}]}';
    expect(refusals(`version: 1\nsets:\n  a: ${region}\n  __proto__: ${region}\n`)).toEqual([
      'c.yaml:4:3: sets.__proto__: the name must not be "__proto__"',
    ]);
  });

  test('a wrong name does not hide what is wrong under it', () => {
    expect(refusals('version: 1\nsets:\n  a/b: {regions: [], size: x}\n')).toHaveLength(3);
  });
});

describe('the whole file', () => {
  test.each([
    ['', ['1:1: must be a map of keys, not empty']],
    ['[]', ['1:1: must be a map of keys, not a list']],
    ['version: 1\n', ['1:1: sets: must be a map of sets by name']],
    ['version: 1\nsets: {}\n', ['2:7: sets: must name at least one set']],
    ['version: 1\nsets: [1]\n', ['2:7: sets: must be a map of sets by name']],
    [
      'version: 1\nsets:\n  d:\n    regions:\n\t- device: x\n',
      ['5:1: is indented with a tab: YAML takes blanks only'],
    ],
    [
      'version: 2\nsets: {a: {regions: [{device: a}]}}',
      ['1:10: version: must be 1, the version of this format'],
    ],
    ['sets: {a: {regions: [{device: a}]}}', ['1:1: version: must be 1, the version of this format']],
    [
      'version: 1\nengine: "null"\nsets: {a: {regions: [{device: a}]}}',
      ['2:9: engine: must be one of auto, uring, threads'],
    ],
    [
      'version: 1\nlog_level: warning\nsets: {a: {regions: [{device: a}]}}',
      ['2:12: log_level: must be one of error, warn, info, debug'],
    ],
    [
      'version: 1\nstate-dir: x\nsets: {a: {regions: [{device: a}]}}',
      ['2:1: state-dir: is not a known key; did you mean "state_dir"?'],
    ],
    ['version: 1\nversion: 1\nsets: {a: {regions: [{device: a}]}}', [`2:1: version: ${TWICE}`]],
    ['version: 1\nsets: !own {a: {regions: [{device: a}]}}', ['2:7: sets: Unresolved tag: !own']],
    ['version: 1\nsets: *gone\n', ['2:7: sets: no anchor &gone stands before it']],
    [
      'version: 1\n---\nversion: 1\n',
      ['2:1: Source contains multiple documents; please use YAML.parseAllDocuments()'],
    ],
  ])('%j', (text, expected) => {
    expect(refusals(text)).toEqual(expected.map((line) => `c.yaml:${line}`));
  });

  test('all that is wrong is told, in the order of the file', () => {
    const text = [
      'version: 1',
      'sets:',
      '  a:',
      '    regions:',
      '      - device: 5',
      '        sectr: 1',
      '    start: never',
      '    start: any',
      '  b/c:',
      '    regions: [{}]',
      'more: 1',
    ].join('\n');
    expect(refusals(text)).toEqual([
      'c.yaml:5:17: sets.a.regions[0].device: must be text, not the number 5',
      'c.yaml:6:9: sets.a.regions[0].sectr: is not a known key; did you mean "sector"?',
      `c.yaml:8:5: sets.a.start: ${TWICE}`,
      'c.yaml:9:3: sets.b/c: the name must not contain "/": it is a file\'s name under the mountpoint',
      'c.yaml:10:15: sets.b/c.regions[0].device: is missing',
      'c.yaml:11:1: more: is not a known key; here are: version, state_dir, engine, log_level, sets',
    ]);
  });

  test('of a key that is there twice, the last one counts, and what is wrong with it has its place', () => {
    expect(refusals(withKey('start: any\n    start: never'))).toEqual([
      `c.yaml:6:5: sets.data.start: ${TWICE}`,
      'c.yaml:6:12: sets.data.start: must be one of any, majority, all',
    ]);
  });

  test('an alias is read where it stands; a bomb of aliases is refused', () => {
    const aliased = 'version: 1\nsets:\n  a: &a {regions: [{device: a}]}\n  b: *a\n';
    expect(load(aliased).sets.map(({ name }) => name)).toEqual(['a', 'b']);
    const levels = Array.from(
      { length: 9 },
      (_, index) =>
        `l${String(index + 1)}: &l${String(index + 1)} [${Array(9)
          .fill(`*l${String(index)}`)
          .join(', ')}]`,
    );
    expect(refusals(`l0: &l0 x\n${levels.join('\n')}\n`)).toEqual([
      'c.yaml:1:1: Excessive alias count indicates a resource exhaustion attack',
    ]);
  });

  test('nesting without end is refused', () => {
    expect(refusals('['.repeat(200_000)).length).toBeGreaterThan(0);
  });

  test('what is no config file is refused', () => {
    expect(refusals(`version: 1\n#${'x'.repeat(1024 * 1024)}`)).toEqual([
      'c.yaml:1:1: is larger than 1 MiB: not a config file',
    ]);
    expect(refusals(Buffer.from([0x76, 0xff, 0xfe]))).toEqual(['c.yaml:1:1: is not UTF-8 text']);
    expect(folder.refusals(() => loadConfig(folder.directory))).toEqual([
      `${folder.directory}:1:1: is not a file`,
    ]);
    expect(folder.refusals(() => loadConfig(folder.path('gone.yaml')))[0]).toMatch(
      /^gone\.yaml:1:1: cannot be read: there is no such file/,
    );
    execFileSync('mkfifo', [folder.path('fifo')]);
    expect(folder.refusals(() => loadConfig(folder.path('fifo')))).toEqual(['fifo:1:1: is not a file']);
  });

  test('JSON, CRLF and a byte order mark are read', () => {
    expect(load('{"version": 1, "sets": {"a": {"regions": [{"device": "a"}]}}}').sets).toHaveLength(1);
    expect(load('\uFEFFversion: 1\r\nsets:\r\n  a: {regions: [{device: a}]}\r\n').sets).toHaveLength(1);
  });
});

describe('values', () => {
  test('defaults are those of the contract', () => {
    const config = load(
      'version: 1\nstate_dir: state\nsets: {data: {regions: [{device: b.img}, {device: /dev/x}]}}',
    );
    const { issue, ...values } = config;
    expect(issue).toBeTypeOf('function');
    expect(values).toEqual({
      file: folder.path('c.yaml'),
      stateDir: folder.path('state'),
      engine: 'auto',
      logLevel: 'info',
      sets: [
        {
          name: 'data',
          regions: [
            { device: folder.path('b.img'), sector: 0, count: undefined },
            { device: '/dev/x', sector: 0, count: undefined },
          ],
          size: undefined,
          readPolicy: 'primary',
          logPath: folder.path('state/data.log'),
          syncRegionSectors: 1024,
          ioTimeoutMs: 30_000,
          readErrorLimit: 20,
          start: 'any',
          mode: 0o600,
          uid: process.geteuid?.(),
          gid: process.getegid?.(),
          readOnly: false,
          truncate: 'zero',
          cache: 'auto',
        },
      ],
    });
  });

  test('a relative path is relative to the file, also where a link names that', () => {
    expect(load(withKey('log: {path: ../x.log}')).sets[0]?.logPath).toBe(folder.path('../x.log'));
    mkdirSync(folder.path('links'));
    symlinkSync('../c.yaml', folder.path('links/l.yaml'));
    const { file, sets } = loadConfig(folder.path('links/l.yaml'));
    expect(file).toBe(folder.path('links/l.yaml'));
    expect(sets[0]?.regions[0]?.device).toBe(folder.path('a.img'));
  });

  test('they cannot be changed any more', () => {
    const config = load(withKey('size: 1GiB'));
    expect([config, config.sets, config.sets[0], config.sets[0]?.regions[0]].every(Object.isFrozen)).toBe(
      true,
    );
  });

  test('each keeps its place, that of the nearest parent when it was left out', () => {
    const config = load(withKey('size: 1GiB'));
    expect(config.issue(['sets', 'data', 'size'], 'x').position).toEqual({ line: 5, column: 11 });
    expect(config.issue(['sets', 'data', 'log', 'path'], 'x').position).toEqual({ line: 4, column: 5 });
    expect(config.issue(['state_dir'], 'x').position).toEqual({ line: 1, column: 1 });
  });
});

test.each([
  [{ STATE_DIRECTORY: '/run/a:/run/b' }, 1000, '/run/a'],
  [{ STATE_DIRECTORY: '' }, 0, '/var/lib/dmiofs'],
  [{ STATE_DIRECTORY: 'run/a' }, 0, '/var/lib/dmiofs'],
  [{ STATE_DIRECTORY: '/run/a', XDG_STATE_HOME: '/home/u/st' }, 1000, '/run/a'],
  [{ XDG_STATE_HOME: '/home/u/st' }, 0, '/var/lib/dmiofs'],
  [{ XDG_STATE_HOME: '/home/u/st' }, 1000, '/home/u/st/dmiofs'],
])('the state folder of %j, user %d is %s', (env, uid, expected) => {
  expect(defaultStateDir(env, uid)).toBe(expected);
});

test.each([{}, { XDG_STATE_HOME: '' }, { XDG_STATE_HOME: 'st' }])(
  'the state folder of %j is in the home folder',
  (env) => {
    expect(defaultStateDir(env, 1000)).toMatch(/^\/.*\/\.local\/state\/dmiofs$/);
  },
);
