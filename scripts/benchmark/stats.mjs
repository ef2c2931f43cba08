// Medians and their spread.

/** The middle value; the mean of the two middle ones of an even number; undefined of none. */
export function median(values) {
  const sorted = values.filter((value) => typeof value === 'number' && Number.isFinite(value));
  if (sorted.length === 0) return undefined;
  sorted.sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median, least and greatest. */
export function spread(values) {
  const there = values.filter((value) => typeof value === 'number' && Number.isFinite(value));
  if (there.length === 0) return undefined;
  return { median: median(there), min: Math.min(...there), max: Math.max(...there) };
}

/** Median of the ratios of two targets in the same rounds: what slows the machine in one round slows both. */
export function pairedRatio(values, base) {
  return median(
    values.map((value, round) =>
      typeof value === 'number' && typeof base[round] === 'number' && base[round] > 0
        ? value / base[round]
        : undefined,
    ),
  );
}
