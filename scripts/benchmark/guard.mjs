// The guard: has a ratio to the floor or the peer become worse than the committed results have it?
import { pairedRatio, spread } from './stats.mjs';

/** What dmiofs is held against: figures of one machine change with its load, ratios of one run hardly. */
export const REFERENCES = ['fuse-floor', 'peer'];
const OURS = /^dmiofs/;

const keyOf = ({ place, cell, target }) => `${place} ${cell} ${target}`;

/** Each of our targets' ratios to each reference, by `PLACE CELL TARGET/REFERENCE`. */
export function ratiosOf(results) {
  const byKey = new Map(results.cells.map((entry) => [keyOf(entry), entry]));
  const ratios = new Map();
  for (const entry of results.cells.filter(({ target }) => OURS.test(target))) {
    for (const reference of REFERENCES) {
      const base = byKey.get(keyOf({ ...entry, target: reference }));
      const ratio = base === undefined ? undefined : pairedRatio(entry.iops, base.iops);
      const { place, cell, target } = entry;
      if (ratio !== undefined) {
        ratios.set(`${place} ${cell} ${target}/${reference}`, { place, cell, target, reference, ratio });
      }
    }
  }
  return ratios;
}

/**
 * Compares two results. `offenders`: ratios that have fallen by more than `margin` (a part of the committed one), the worst first, and targets that
 * failed now and did not then. `compared`: how many ratios both have.
 */
export function compare(committed, now, margin) {
  const before = ratiosOf(committed);
  const after = ratiosOf(now);
  const offenders = [];
  let compared = 0;
  for (const [key, { ratio, ...what }] of after) {
    const old = before.get(key);
    if (old === undefined) continue;
    compared++;
    const change = ratio / old.ratio - 1;
    if (change < -margin) offenders.push({ ...what, committed: old.ratio, now: ratio, change });
  }
  const worked = new Set(committed.cells.filter(({ iops }) => spread(iops) !== undefined).map(keyOf));
  for (const { place, cell, target, iops, error } of now.cells) {
    if (!OURS.test(target) || spread(iops) !== undefined || !worked.has(keyOf({ place, cell, target })))
      continue;
    compared++;
    offenders.push({ place, cell, target, reference: undefined, change: -1, error: error ?? 'no sample' });
  }
  offenders.sort((a, b) => a.change - b.change);
  return { offenders, compared };
}

/** The table of offenders, as text. */
export function offenderTable(offenders) {
  const rows = offenders.map(({ place, cell, target, reference, committed, now, change, error }) =>
    error === undefined
      ? [
          place,
          cell,
          `${target} / ${reference}`,
          committed.toFixed(2),
          now.toFixed(2),
          `${(change * 100).toFixed(0)}%`,
        ]
      : [place, cell, target, '', 'failed', error],
  );
  const all = [['place', 'cell', 'ratio of', 'committed', 'now', 'change'], ...rows];
  const widths = all[0].map((_head, at) => Math.max(...all.map((row) => row[at].length)));
  return all
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
