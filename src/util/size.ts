/** Sizes in bytes: `512KiB`, `1 GiB`, `4096`, `64k`. Units are powers of 1024; KB, MB ... are powers of 1000. */

const BINARY = ['', 'k', 'm', 'g', 't', 'p'] as const;

/** undefined: not a size, not a whole number of bytes, or beyond 2^53. */
export function parseSize(text: string): number | undefined {
  const found = /^([0-9]{1,16})(?:\.([0-9]{1,16}))?\s*(?:([kmgtp])(i?b)?|b)?$/i.exec(text.trim());
  if (found === null) return undefined;
  const [, whole = '', fraction = ''] = found;
  const unit = (found[3] ?? '').toLowerCase();
  const power = BINARY.indexOf(unit as (typeof BINARY)[number]);
  const base = found[4]?.toLowerCase() === 'b' ? 1000n : 1024n;
  // In integers: 4.35MB is exactly 4350000, whatever 4.35 * 1e6 is in floating point.
  const scaled = BigInt(whole + fraction) * base ** BigInt(power);
  const divisor = 10n ** BigInt(fraction.length);
  const value = Number(scaled / divisor);
  return scaled % divisor === 0n && Number.isSafeInteger(value) ? value : undefined;
}

/** The shortest exact form in binary units, as parseSize reads it: 524288 -> `512KiB`. */
export function formatSize(bytes: number): string {
  let power = 0;
  let value = bytes;
  while (power < 5 && value >= 1024 && value % 1024 === 0) {
    value /= 1024;
    power += 1;
  }
  return power === 0 ? `${String(value)}B` : `${String(value)}${(BINARY[power] ?? '').toUpperCase()}iB`;
}

/** For people: three digits, `1.50 GiB`. */
export function humanSize(bytes: number): string {
  let power = 0;
  let value = bytes;
  while (power < 5 && value >= 1024) {
    value /= 1024;
    power += 1;
  }
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${power === 0 ? 'B' : `${(BINARY[power] ?? '').toUpperCase()}iB`}`;
}
