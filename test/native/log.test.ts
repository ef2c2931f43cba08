/** createLog and inspectLog through the addon, and the commands that use them, on real files. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import { native } from '../../src/native/binding.js';
import type { CreateLogOptions } from '../../src/native/log.js';

const run = promisify(execFile);
const dmiofs = (...args: string[]): Promise<{ stdout: string; stderr: string }> => run('bin/dmiofs', args);

let folder: string;

function image(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, 64 * 1024 * 1024);
  return path;
}

function optionsFor(name: string, inSync: boolean): CreateLogOptions {
  return {
    path: join(folder, name),
    count: 131072,
    syncRegionSectors: 1024,
    inSync,
    legs: ['a.img', 'b.img'].map((leg) => ({ device: join(folder, leg), sector: 0 })),
  };
}

beforeAll(() => {
  folder = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-log-'));
  image('a.img');
  image('b.img');
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('createLog', () => {
  it('makes a log that inspectLog shows', async () => {
    const options = optionsFor('new.log', true);
    expect(await native().createLog(options)).toBe('created');
    const log = await native().inspectLog(options.path);
    expect(log).toMatchObject({ header: 'valid', version: 2, nrRegions: '128', dirty: 0, problem: '' });
    expect(log.record).toMatchObject({
      uuid: log.owner,
      generation: 1,
      clean: true,
      count: 131072,
      syncRegionSectors: 1024,
    });
    expect(log.record?.legs.map((leg) => leg.state)).toEqual(['in-sync', 'in-sync']);
    expect(log.record?.legs[0]?.inode).toBe(native().probeDevice(join(folder, 'a.img')).inode);
  });

  it('takes leg 0 for the right one when the legs are not equal', async () => {
    const options = optionsFor('unequal.log', false);
    await native().createLog(options);
    const log = await native().inspectLog(options.path);
    expect(log.dirty).toBe(128);
    expect(log.record?.legs.map((leg) => leg.state)).toEqual(['in-sync', 'rebuilding']);
  });

  it('never overwrites', async () => {
    const options = optionsFor('twice.log', true);
    await native().createLog(options);
    const before = readFileSync(options.path);
    await expect(native().createLog(options)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readFileSync(options.path).equals(before)).toBe(true);
    await expect(native().createLog({ ...options, path: image('blank') })).resolves.toBe('created');
    const text = join(folder, 'text');
    writeFileSync(text, 'not a log');
    await expect(native().createLog({ ...options, path: text })).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it('refuses wrong arguments before it touches anything', async () => {
    const options = optionsFor('wrong.log', true);
    expect(() => native().createLog({ ...options, count: -1 })).toThrow(/count must be/);
    expect(() => native().createLog({ ...options, legs: [{ device: 1, sector: 0 }] as never })).toThrow(
      /device must be/,
    );
    await expect(native().createLog({ ...options, legs: [] })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(native().createLog({ ...options, syncRegionSectors: 3 })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    const missing = [{ device: join(folder, 'no-such'), sector: 0 }];
    await expect(native().createLog({ ...options, legs: missing })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(native().inspectLog(options.path)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('table and from-table', () => {
  it('print a kernel mirror of a config, and a config of a kernel mirror', async () => {
    const config = join(folder, 'config.yaml');
    writeFileSync(
      config,
      `version: 1\nstate_dir: ${folder}/state\nsets:\n  data:\n    size: 64MiB\n    regions:\n      - device: ./c.img\n      - device: ./d.img\n`,
    );
    const early = await dmiofs('table', config).catch((error: unknown) => error);
    expect(early).toMatchObject({ code: 1, stdout: '' });
    expect(early).toHaveProperty(
      'stderr',
      expect.stringMatching(/data\.log is not there: dmiofs init makes it\n$/),
    );
    await dmiofs('init', config);
    const { stdout, stderr } = await dmiofs('table', config);
    const log = join(folder, 'state/data.log');
    const legs = ['c.img', 'd.img'].map((leg) => join(folder, leg));
    expect(stdout).toBe(
      `0 131072 mirror disk 2 ${log} 1024 2 ${legs[0] ?? ''} 0 ${legs[1] ?? ''} 0 1 handle_errors\n`,
    );
    expect(stderr.match(/losetup --find/g)).toHaveLength(3);
    const made = parse((await dmiofs('from-table', '--name', 'data', stdout.trim())).stdout) as object;
    expect(made).toEqual({
      version: 1,
      sets: {
        data: {
          regions: legs.map((device) => ({ device, count: 131072 })),
          log: { path: log, region_size: '512KiB' },
        },
      },
    });
    // What from-table prints is a config.
    const again = join(folder, 'again.yaml');
    writeFileSync(again, JSON.stringify(made));
    expect((await dmiofs('table', again)).stdout).toBe(stdout);
    await expect(dmiofs('table', config, '--set', 'nope')).rejects.toMatchObject({ code: 1 });
    await expect(dmiofs('from-table', '0 64 linear x 0')).rejects.toMatchObject({ code: 1 });
  });
});
