import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDuration } from '../../../src/util/duration.js';

test.each([
  ['0', 0],
  ['30', 30_000],
  ['30s', 30_000],
  ['500ms', 500],
  ['1.5s', 1500],
  ['2m', 120_000],
  ['1 h', 3_600_000],
  ['0.001s', 1],
  ['0.4ms', undefined],
  ['0.0001s', undefined],
  ['-1s', undefined],
  ['1e3', undefined],
  ['', undefined],
  ['s', undefined],
  ['1d', undefined],
  ['9'.repeat(30), undefined],
])('%j is %j ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test('a duration that is not zero is never read as zero, which means no limit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 999_999 }),
      fc.constantFrom('ms', 's', 'm', 'h'),
      (millionths, unit) => {
        expect(parseDuration(`0.${String(millionths).padStart(6, '0')}${unit}`)).not.toBe(0);
      },
    ),
  );
});

test('every whole number of milliseconds can be said', () => {
  fc.assert(
    fc.property(fc.nat(), (milliseconds) => {
      expect(parseDuration(`${String(milliseconds)}ms`)).toBe(milliseconds);
    }),
  );
});
