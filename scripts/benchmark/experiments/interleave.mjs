// Interleaved samples of some variants, as the cells are measured; and small helpers of the experiments' reports.
import { CELLS } from '../cells.mjs';
import { measureWithFio } from '../fio.mjs';
import { median, pairedRatio, spread } from '../stats.mjs';

export const cellNamed = (name) => CELLS.find((cell) => cell.name === name);

/** Transfers a second of each variant ({ file, pid, cell }), a sample a round. */
export async function interleave(variants, { rounds, seconds, bytes }) {
  const samples = variants.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, { file, pid, cell }] of variants.entries()) {
      const { iops } = await measureWithFio(cell, file, { seconds, bytes }, [pid]);
      samples[at].push(Number(iops.toPrecision(5)));
    }
  }
  return samples;
}

/** A point of a plot. */
export function point(x, values) {
  const { median: value, min: low, max: high } = spread(values);
  return { x, low, value, high };
}

export const per = (values) => Math.round(median(values)).toLocaleString('en');

/** Median ratio of rounds, with two digits. */
export const ratioText = (values, base) => pairedRatio(values, base)?.toFixed(2) ?? '-';

/** A goal of the project, for the page: [what, figure, whether it is reached]. `most` turns it round: the ratio may be at most that. */
export function goal(what, values, base, wanted, most = false) {
  const ratio = pairedRatio(values, base);
  if (ratio === undefined) return [];
  return [[what, ratio.toFixed(2), most ? ratio <= wanted : ratio >= wanted]];
}

export const legsAt = (place) => (place === 'memory' ? 'in memory' : 'on disk');
