/** Durations: `30s`, `500ms`, `2m`, `1h`, `0`. */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds; undefined: not a duration, or not a whole number of them. A bare number is seconds. */
export function parseDuration(text: string): number | undefined {
  const found = /^([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
  if (found === null) return undefined;
  const value = Number(found[1]) * MILLISECONDS[(found[2] ?? 's') as keyof typeof MILLISECONDS];
  const whole = Math.round(value);
  // Rounding 0.4ms to 0 would turn the shortest wait into an endless one.
  return Number.isSafeInteger(whole) && Math.abs(value - whole) < 1e-6 ? whole : undefined;
}
