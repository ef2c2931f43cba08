/** What init makes, what it never touches, and what it takes back. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type InitReport, initSets } from '../../../src/config/init.js';
import { loadConfig } from '../../../src/config/load.js';
import { resolveConfig } from '../../../src/config/resolve.js';
import type { CreateLogOptions, LogCreation } from '../../../src/native/log.js';
import { ConfigFolder } from '../../helpers/config-file.js';
import { fakeProbe } from '../../helpers/fake-probe.js';

const MIB = 1024 * 1024;
let folder: ConfigFolder;
beforeEach(() => {
  folder = new ConfigFolder();
});
afterEach(() => {
  folder.remove();
});

interface Choices {
  readonly assumeClean?: boolean;
  /** The log on whose creation all fails. */
  readonly failAt?: string;
}

class Init {
  readonly logs: CreateLogOptions[] = [];

  run(sets: string, { assumeClean = false, failAt }: Choices = {}): Promise<readonly InitReport[]> {
    const file = folder.write(`version: 1\nstate_dir: deep/state\nsets:\n${sets}`);
    const config = resolveConfig(loadConfig(file), { probeDevice: fakeProbe(), creating: true });
    return initSets(config, {
      assumeClean,
      createLog: async (options): Promise<LogCreation> => {
        await Promise.resolve();
        if (failAt !== undefined && options.path.endsWith(failAt)) throw new Error('no space left');
        if (existsSync(options.path)) throw Object.assign(new Error('is there already'), { code: 'EEXIST' });
        writeFileSync(options.path, 'log');
        this.logs.push(options);
        return 'created';
      },
    });
  }
}

test('new images are sparse, for their owner only, and in sync', async () => {
  const init = new Init();
  const reports = await init.run(
    '  s: {regions: [{device: a.img, sector: 8}, {device: b.img}], size: 1GiB}\n',
  );
  const a = statSync(folder.path('a.img'));
  expect([a.size, a.mode & 0o777]).toEqual([1024 ** 3 + 4096, 0o600]);
  expect(a.blocks).toBeLessThan(64);
  expect(statSync(folder.path('b.img')).size).toBe(1024 ** 3);
  expect(statSync(folder.path('deep/state')).mode & 0o777).toBe(0o700);
  expect(reports).toEqual([
    { set: 's', createdImages: [folder.path('a.img'), folder.path('b.img')], log: 'created', inSync: true },
  ]);
  expect(init.logs).toEqual([
    {
      path: folder.path('deep/state/s.log'),
      count: 2_097_152,
      syncRegionSectors: 1024,
      legs: [
        { device: folder.path('a.img'), sector: 8 },
        { device: folder.path('b.img'), sector: 0 },
      ],
      inSync: true,
    },
  ]);
});

test.each([
  ['legs that are there are not in sync', ['a.img', 'b.img'], false, false],
  ['unless the user says so', ['a.img', 'b.img'], true, true],
  ['a new one beside one that is there is not', ['a.img'], false, false],
])('%s', async (_, existing, assumeClean, inSync) => {
  for (const name of existing) folder.image(name, MIB);
  const [report] = await new Init().run('  s: {regions: [{device: a.img}, {device: b.img}], size: 1MiB}\n', {
    assumeClean,
  });
  expect(report?.inSync).toBe(inSync);
});

test('a new, empty image is never assumed to equal one that is there', async () => {
  folder.image('a.img', MIB);
  const run = new Init().run('  s: {regions: [{device: a.img}, {device: b.img}], size: 1MiB}\n', {
    assumeClean: true,
  });
  await expect(run).rejects.toThrow(
    /--assume-clean says that all legs are equal, but .*b\.img does not exist/,
  );
  expect(existsSync(folder.path('b.img'))).toBe(false);
});

test('an image holds the I/O regions of several sets', async () => {
  await new Init().run(
    '  s: {regions: [{device: a.img}], size: 1MiB}\n  t: {regions: [{device: a.img, sector: 2048}], size: 2MiB}\n',
  );
  expect(statSync(folder.path('a.img')).size).toBe(3 * MIB);
});

test('what is there stays as it is, also at a second run', async () => {
  const sets = '  s: {regions: [{device: a.img}, {device: b.img}], size: 1MiB}\n';
  await new Init().run(sets);
  writeFileSync(folder.path('a.img'), Buffer.alloc(MIB, 7));
  const reports = await new Init().run(sets);
  expect(reports).toEqual([{ set: 's', createdImages: [], log: 'kept', inSync: false }]);
  expect(readFileSync(folder.path('a.img')).equals(Buffer.alloc(MIB, 7))).toBe(true);
  expect(readFileSync(folder.path('deep/state/s.log'), 'utf8')).toBe('log');
});

test('what a run made is taken back when it fails half way, and nothing else', async () => {
  folder.image('a.img', MIB);
  const sets = [
    '  s: {regions: [{device: a.img}, {device: b.img}], size: 1MiB}',
    '  t: {regions: [{device: c.img}], size: 1MiB}\n',
  ].join('\n');
  await expect(new Init().run(sets, { failAt: 't.log' })).rejects.toMatchObject({
    code: 'ERR_DMIOFS_INIT',
    message: 'nothing was created: no space left',
  });
  for (const name of ['b.img', 'c.img', 'deep']) expect(existsSync(folder.path(name))).toBe(false);
  expect(readFileSync(folder.path('a.img')).equals(Buffer.alloc(MIB))).toBe(true);
});

test('an image that cannot have its size is taken back too', async () => {
  const sets = '  s: {regions: [{device: a.img}], size: 4PiB}\n';
  const ended = await new Init().run(sets).then(
    () => 'made',
    (error: unknown) => {
      expect(String(error)).toContain(`nothing was created: the image ${folder.path('a.img')} of 4PiB: `);
      return 'refused';
    },
  );
  expect(existsSync(folder.path('a.img'))).toBe(ended === 'made');
});

test('a log without its images is not a new set: nothing is made for it', async () => {
  mkdirSync(folder.path('deep/state'), { recursive: true });
  writeFileSync(folder.path('deep/state/s.log'), 'old');
  await expect(new Init().run('  s: {regions: [{device: a.img}], size: 1MiB}\n')).rejects.toThrow(
    'is there already',
  );
  expect(existsSync(folder.path('a.img'))).toBe(false);
  expect(readFileSync(folder.path('deep/state/s.log'), 'utf8')).toBe('old');
});
