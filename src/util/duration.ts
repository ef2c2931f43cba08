/** Durations: `30s`, `500ms`, `2m`, `1h`, `0`. */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds; undefined: not a duration. A bare number is seconds. */
export function parseDuration(text: string): number | undefined {
  const found = /^([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
  if (found === null) return undefined;
  const value = Number(found[1]) * MILLISECONDS[(found[2] ?? 's') as keyof typeof MILLISECONDS];
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined;
}
