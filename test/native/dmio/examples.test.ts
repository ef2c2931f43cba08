/** The examples of docs/examples/ do what they say. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { pattern } from '../../helpers/dmio.js';

const top = fileURLToPath(new URL('../../..', import.meta.url));
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmio-example-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function image(name: string, data: Uint8Array): string {
  writeFileSync(join(dir, name), data);
  return join(dir, name);
}

function example(name: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(top, 'docs/examples', name), ...args],
      { cwd: top, timeout: 30_000 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });
}

it('mirror-buffer writes to three devices', async () => {
  const disks = ['a', 'b', 'c'].map((name) => image(name, Buffer.alloc(2 * 1024 * 1024)));
  const ran = await example('mirror-buffer.mjs', ...disks);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(ran.stdout).toBe(disks.map((disk) => `${disk}: written\n`).join(''));
  for (const disk of disks) expect(readFileSync(disk).subarray(0, 18).toString()).toBe('mirrored mirrored ');
});

it('copy-region copies to every destination', async () => {
  const data = pattern(3000 * 512, 5);
  const source = image('source', data);
  const copies = ['x', 'y'].map((name) => image(name, Buffer.alloc(3000 * 512)));
  expect(await example('copy-region.mjs', '3000', source, ...copies)).toMatchObject({ code: 0, stderr: '' });
  for (const copy of copies) expect(Buffer.compare(readFileSync(copy), data)).toBe(0);
});

it('compare-devices names the sectors that differ', async () => {
  const data = pattern(5000 * 512, 6);
  const changed = Buffer.from(data);
  changed[4321 * 512 + 9] = (changed[4321 * 512 + 9] ?? 0) ^ 1;
  const ran = await example('compare-devices.mjs', image('a', data), image('b', changed));
  expect(ran).toMatchObject({ code: 1, stdout: 'sector 4321 differs\n1 of 5000 sectors differ\n' });
});
