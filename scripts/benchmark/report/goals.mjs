// The goals of the project and whether these results reach them: what was not measured is left out.
import { matches } from '../cells.mjs';
import { median, pairedRatio } from '../stats.mjs';
import { short } from './svg.mjs';
import { byCell, table } from './tables.mjs';

const NULL_RATE = 45_000;

/** The ratios of two targets at the cells that the pattern names: [{ cell, ratio }], the least first. */
function ratios(cells, pattern, target, reference) {
  return [...cells]
    .filter(([cell]) => matches(cell, [pattern]))
    .map(([cell, entries]) => [cell, entries.get(target), entries.get(reference)])
    .filter(([, ours, base]) => ours !== undefined && base !== undefined)
    .map(([cell, ours, base]) => ({ cell, ratio: pairedRatio(ours.iops, base.iops) }))
    .filter(({ ratio }) => ratio !== undefined)
    .sort((a, b) => a.ratio - b.ratio);
}

/** A goal that holds for each of some cells. */
function forEach(goal, least, found) {
  if (found.length === 0) return [];
  const reached = found.filter(({ ratio }) => ratio >= least).length;
  const [worst] = found;
  return [
    [
      goal,
      `${reached} of ${found.length} cells; least ${worst.ratio.toFixed(2)} (\`${worst.cell}\`)`,
      reached === found.length,
    ],
  ];
}

function nullGoal(cells, pattern, what) {
  const entries = [...cells].find(([cell]) => matches(cell, [pattern]))?.[1];
  const rate = median(entries?.get('dmiofs-null')?.iops ?? []);
  if (rate === undefined) return [];
  const ratio = pairedRatio(entries.get('dmiofs-null').iops, entries.get('fuse-null')?.iops ?? []);
  const beside = ratio === undefined ? '' : `, ${ratio.toFixed(2)} of the C program`;
  const goal = `${what} without a device: 45,000 a second, or 0.8 of a C program that does nothing`;
  return [[goal, `${short(rate)}/s${beside}`, rate >= NULL_RATE || (ratio ?? 0) >= 0.8]];
}

function placeGoals(results, place) {
  const cells = byCell(results, place);
  const where = place === 'memory' ? 'in memory' : 'on disk';
  return [
    ...forEach(
      `Legs ${where}: no cell under 0.9 of the FUSE floor`,
      0.9,
      ratios(cells, '*', 'dmiofs', 'fuse-floor'),
    ),
    ...forEach(`Legs ${where}: no cell under the peer`, 1, ratios(cells, '*', 'dmiofs', 'peer')),
    ...forEach(
      `Legs ${where}: direct writes with 4 jobs at twice the peer`,
      2,
      ratios(cells, '*write-*-direct-j4', 'dmiofs', 'peer'),
    ),
    ...forEach(
      `Legs ${where}: \`cache: writeback\`, buffered writes of 4 KiB at three times the peer`,
      3,
      ratios(cells, '*write-4k-buffered-*', 'dmiofs-writeback', 'peer'),
    ),
    ...nullGoal(cells, 'randread-4k-direct-j1', `Legs ${where}: 4 KiB reads`),
    ...nullGoal(cells, 'randwrite-4k-direct-j1', `Legs ${where}: 4 KiB writes`),
  ];
}

/** A table of goal, figure, and whether it is reached; undefined when none was measured. */
export function goalTable(results, experiments) {
  const rows = [
    ...Object.keys(results.places).flatMap((place) => placeGoals(results, place)),
    ...experiments.flatMap(({ name, goals }) =>
      results.experiments[name] === undefined ? [] : (goals?.(results.experiments[name]) ?? []),
    ),
  ];
  if (rows.length === 0) return undefined;
  return table(
    ['goal', 'figure', 'reached'],
    rows.map(([goal, figure, reached]) => [goal, figure, reached ? 'yes' : '**no**']),
  );
}
