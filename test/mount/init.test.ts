/** init and check-config as a user meets them: by the real command line, with real logs. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkConfigSchema } from '../../src/config/check-config-schema.js';
import { dmiofs, MIB, Scene } from '../helpers/mounted.js';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(async () => {
  await scene.close();
});

const pair = (): string =>
  scene.config({ data: { regions: [{ device: 'a.img' }, { device: 'b.img', sector: 8 }], size: '4MiB' } });

test('init makes images and logs, says so, and at a second run leaves all as it is', async () => {
  const config = pair();
  expect(await dmiofs('init', config)).toEqual({
    code: 0,
    stdout: [
      `data: created ${scene.path('a.img')}`,
      `data: created ${scene.path('b.img')}`,
      'data: created its log; in sync\n',
    ].join('\n'),
    stderr: '',
  });
  expect(statSync(scene.path('b.img')).size).toBe(4 * MIB + 8 * 512);
  const log = readFileSync(scene.path('state/data.log'));
  writeFileSync(scene.path('a.img'), Buffer.alloc(4 * MIB, 7));
  expect(await dmiofs('init', config)).toEqual({
    code: 0,
    stdout: 'data: is there already: its log was left as it is\n',
    stderr: '',
  });
  expect(readFileSync(scene.path('state/data.log')).equals(log)).toBe(true);
  expect(readFileSync(scene.path('a.img')).equals(Buffer.alloc(4 * MIB, 7))).toBe(true);
});

test('init beside a log that is no log of ours makes nothing', async () => {
  const config = pair();
  scene.folder('state');
  writeFileSync(scene.path('state/data.log'), Buffer.alloc(8192, 5));
  const ran = await dmiofs('init', config);
  expect(ran.code).toBe(1);
  expect(ran.stderr).toMatch(/^dmiofs: nothing was created: .*data\.log/);
  expect(existsSync(scene.path('a.img'))).toBe(false);
  expect(readFileSync(scene.path('state/data.log')).equals(Buffer.alloc(8192, 5))).toBe(true);
});

test('an image that is lost is not made anew for a set that is there', async () => {
  const config = pair();
  await dmiofs('init', config);
  rmSync(scene.path('b.img'));
  const ran = await dmiofs('init', config);
  expect(ran.code).toBe(1);
  expect(ran.stderr).toMatch(/^dmiofs: nothing was created: /);
  expect(existsSync(scene.path('b.img'))).toBe(false);
});

test('check-config shows the sets as they would be, and makes nothing', async () => {
  const config = pair();
  const table = await dmiofs('check-config', config);
  expect(table).toMatchObject({ code: 0, stderr: '' });
  expect(table.stdout).toMatch(/data .* 4\.00 MiB .* 0 .*a\.img .* 0 .* 8192 .* missing/);
  expect(table.stdout).toMatch(/1 .*b\.img .* 8 .* 8192 .* missing/);
  const { stdout } = await dmiofs('check-config', config, '--json');
  expect(JSON.parse(stdout)).toEqual({
    version: 1,
    config,
    state_dir: scene.path('state'),
    engine: 'auto',
    sets: [
      {
        name: 'data',
        count: 8192,
        size: 4 * MIB,
        read_policy: 'primary',
        log: { path: scene.path('state/data.log'), region_size: 512 * 1024 },
        io_timeout_ms: 30_000,
        read_error_limit: 20,
        start: 'any',
        mode: '0600',
        uid: process.geteuid?.(),
        gid: process.getegid?.(),
        read_only: false,
        truncate: 'zero',
        cache: 'auto',
        legs: [
          { device: scene.path('a.img'), sector: 0, count: 8192, found: false, logical_block_size: null },
          { device: scene.path('b.img'), sector: 8, count: 8192, found: false, logical_block_size: null },
        ],
      },
    ],
  });
  expect(checkConfigSchema.safeParse(JSON.parse(stdout)).error).toBeUndefined();
  for (const name of ['a.img', 'b.img', 'state']) expect(existsSync(scene.path(name))).toBe(false);
});

test('check-config of a set that is mounted finds nothing wrong with that, and init leaves it alone', async () => {
  const config = pair();
  await dmiofs('init', config);
  await scene.mount(config, scene.folder('mnt'));
  expect(await dmiofs('check-config', config)).toMatchObject({ code: 0, stderr: '' });
  for (const options of [[], ['--assume-clean']]) {
    expect(await dmiofs('init', config, ...options)).toEqual({
      code: 0,
      stdout: 'data: is in use: its log was left as it is\n',
      stderr: '',
    });
  }
});

test.each([
  [
    ['init'],
    /^dmiofs: too few arguments\ndmiofs: Usage: dmiofs init <config>\ndmiofs: Try dmiofs init --help.\n$/,
  ],
  [['check-config', 'x', '--jsn'], /Unknown argument: jsn/],
  [['chek-config', 'x'], /Did you mean check-config\?/],
  [[], /name a command/],
])('wrong arguments %j end with 1, and are told on stderr only', async (args, message) => {
  const ran = await dmiofs(...args);
  expect(ran.code).toBe(1);
  expect(ran.stdout).toBe('');
  expect(ran.stderr).toMatch(message);
});
