import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeAtomically } from '../../../src/util/write-atomically.js';
import { writeSynced } from '../../../src/util/write-synced.js';
import { canMount } from '../../helpers/mounted.js';

let folder: string;
let mounted: boolean;
beforeEach(() => {
  folder = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-'));
  mounted = false;
});
afterEach(() => {
  if (mounted) execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true, force: true });
});

test('writes all, and nothing over what is there', () => {
  const path = join(folder, 'a');
  writeSynced(path, 'one', 0o600);
  expect(() => {
    writeSynced(path, 'two', 0o600);
  }).toThrow('EEXIST');
  expect(readFileSync(path, 'utf8')).toBe('one');
});

// Where a part fits, write(2) writes that and is content.
test.runIf(canMount)('what does not fit is an error, and the file in its place stays', () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
  mounted = true;
  const file = join(folder, 'a');
  writeAtomically(file, 'one');
  const long = 'x'.repeat(64 * 1024);
  expect(() => {
    writeSynced(join(folder, 'b'), long, 0o600);
  }).toThrow('ENOSPC');
  rmSync(join(folder, 'b'));
  expect(() => {
    writeAtomically(file, long);
  }).toThrow('ENOSPC');
  expect(readFileSync(file, 'utf8')).toBe('one');
  expect(existsSync(`${file}.${String(process.pid)}`)).toBe(false);
});
