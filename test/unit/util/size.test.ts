import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatSize, humanSize, parseSize } from '../../../src/util/size.js';

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['512', 512],
    ['4096B', 4096],
    ['512KiB', 512 * 1024],
    ['512kib', 512 * 1024],
    ['64k', 64 * 1024],
    ['64kB', 64_000],
    [' 1 GiB ', 1024 ** 3],
    ['1.5M', 1.5 * 1024 ** 2],
    ['4.35MB', 4_350_000],
    ['1.1GB', 1_100_000_000],
    ['8PiB', undefined],
    ['7PiB', 7 * 1024 ** 5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', undefined],
    ['0.5', undefined],
    ['1.0001KiB', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['', undefined],
    ['KiB', undefined],
    ['1 Ki B', undefined],
    ['1GiBs', undefined],
    ['0x10', undefined],
  ])('%j is %j', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test('reads back every size that formatSize writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
  });

  test('is exact for every unit and fraction, or gives none', () => {
    const unit = fc.constantFrom<[string, bigint]>(['KiB', 1024n], ['MB', 1_000_000n], ['G', 1024n ** 3n]);
    fc.assert(
      fc.property(fc.nat(99_999), fc.nat(999), unit, (whole, thousandths, [name, scale]) => {
        const exact = (BigInt(whole) * 1000n + BigInt(thousandths)) * scale;
        const text = `${String(whole)}.${String(thousandths).padStart(3, '0')}${name}`;
        expect(parseSize(text)).toBe(exact % 1000n === 0n ? Number(exact / 1000n) : undefined);
      }),
    );
  });

  test('never throws, and gives a safe integer or undefined', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const bytes = parseSize(text);
        expect(bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
      }),
    );
  });
});

test.each([
  [0, '0B'],
  [511, '511B'],
  [4096, '4KiB'],
  [1024 ** 3, '1GiB'],
  [1536, '1536B'],
])('formatSize(%d) is %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text);
});

test.each([
  [0, '0 B'],
  [1536, '1.50 KiB'],
  [15 * 1024 ** 2, '15.0 MiB'],
  [200 * 1024 ** 3, '200 GiB'],
])('humanSize(%d) is %s', (bytes, text) => {
  expect(humanSize(bytes)).toBe(text);
});
