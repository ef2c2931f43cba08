import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DmiofsError, ERROR_CODES, isDmiofsError } from '../../src/errors.js';

const TOP = fileURLToPath(new URL('../../', import.meta.url));

test('docs/errors.md has the codes of src/errors.ts, with the same words and what to do', () => {
  const rows = [
    ...readFileSync(join(TOP, 'docs/errors.md'), 'utf8').matchAll(/^\| `(\w+)` \| (.+) \| (.+) \|$/gm),
  ];
  expect(rows.map(([, code, meaning]) => [code, meaning])).toEqual(Object.entries(ERROR_CODES));
});

test('no code is used that the table does not have', () => {
  const sources = readdirSync(join(TOP, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'errors.ts')
    .map((path) => readFileSync(join(TOP, 'src', path), 'utf8'));
  const used = new Set(sources.flatMap((text) => text.match(/\bERR_DMIOFS_[A-Z_]+\b/g) ?? []));
  expect([...used].filter((code) => !Object.hasOwn(ERROR_CODES, code))).toEqual([]);
});

test('an error carries its code, errno and cause', () => {
  const cause = new Error('below');
  const error = new DmiofsError('ERR_DMIOFS_INIT', 'a: cannot be used', { cause, errno: 5 });
  expect(error).toMatchObject({ name: 'DmiofsError', code: 'ERR_DMIOFS_INIT', errno: 5, cause });
  expect(new DmiofsError('ERR_DMIOFS_USAGE', 'x').errno).toBeUndefined();
});

test.each([
  [new DmiofsError('ERR_DMIOFS_USAGE', 'x'), true],
  [Object.assign(new Error('of another copy of this module'), { code: 'ERR_DMIOFS_BUSY' }), true],
  [Object.assign(new Error('x'), { code: 'ENOENT' }), false],
  [Object.assign(new Error('x'), { code: 'constructor' }), false],
  [new Error('x'), false],
  [{ code: 'ERR_DMIOFS_BUSY' }, false],
  [undefined, false],
])('isDmiofsError: %s', (value, expected) => {
  expect(isDmiofsError(value)).toBe(expected);
});
