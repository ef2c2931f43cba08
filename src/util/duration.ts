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

/** Seconds for people, two units at most: `45 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const [big, small] =
    whole < 60
      ? [`${String(whole)} s`, '']
      : whole < 3600
        ? [`${String(Math.floor(whole / 60))} min`, whole % 60 === 0 ? '' : ` ${String(whole % 60)} s`]
        : whole < 86_400
          ? [`${String(Math.floor(whole / 3600))} h`, ` ${String(Math.floor(whole / 60) % 60)} min`]
          : [`${String(Math.floor(whole / 86_400))} d`, ` ${String(Math.floor(whole / 3600) % 24)} h`];
  return `${big}${small}`;
}
