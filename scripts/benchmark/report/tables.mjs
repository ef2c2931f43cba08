// The tables of the page.
import { CELLS } from '../cells.mjs';
import { median, pairedRatio, spread } from '../stats.mjs';
import { short } from './svg.mjs';

const row = (cells) => `| ${cells.join(' | ')} |`;

export function table(head, rows) {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
}

/** Entries of a place: map of cell to map of target to entry, in the order of the cells. */
export function byCell(results, place) {
  const found = new Map(CELLS.map(({ name }) => [name, new Map()]));
  for (const entry of results.cells)
    if (entry.place === place) found.get(entry.cell)?.set(entry.target, entry);
  for (const [name, entries] of found) if (entries.size === 0) found.delete(name);
  return found;
}

const figure = (entry) => {
  if (entry === undefined) return '';
  const found = spread(entry.iops);
  if (found === undefined) return 'failed';
  const part = Math.round(((found.max - found.min) / 2 / found.median) * 100);
  return `${short(found.median)} ±${part}%`;
};

const ratio = (ours, base) => {
  const value = ours === undefined || base === undefined ? undefined : pairedRatio(ours.iops, base.iops);
  return value === undefined ? '' : value.toFixed(2);
};

/** Each cell with each target's figure, and the two ratios that count. */
export function cellTable(entriesByCell, targets) {
  const shown = targets.filter(({ name }) =>
    [...entriesByCell.values()].some((entries) => entries.has(name)),
  );
  return table(
    ['cell', ...shown.map(({ label }) => label), 'dmiofs / FUSE floor', 'dmiofs / peer'],
    [...entriesByCell].map(([cell, entries]) => [
      `\`${cell}\``,
      ...shown.map(({ name }) => figure(entries.get(name))),
      ratio(entries.get('dmiofs'), entries.get('fuse-floor')),
      ratio(entries.get('dmiofs'), entries.get('peer')),
    ]),
  );
}

/** CPU seconds a GiB of server and load together, where they were taken. */
export function cpuTable(entriesByCell, targets) {
  const shown = targets.filter(({ name }) =>
    [...entriesByCell.values()].some((entries) => entries.get(name)?.cpu !== undefined),
  );
  const wanted = [...entriesByCell].filter(([cell]) => /^(read|write|randwrite|fsync)-.*-j1$/.test(cell));
  return table(
    ['cell', ...shown.map(({ label }) => label)],
    wanted.map(([cell, entries]) => [
      `\`${cell}\``,
      ...shown.map(({ name }) => {
        const cpu = entries.get(name)?.cpu;
        return cpu === undefined ? '' : cpu.toPrecision(2);
      }),
    ]),
  );
}

/** Median and 99th percentile of the latency in microseconds. */
export function latencyTable(entriesByCell, targets) {
  const shown = targets.filter(({ name }) =>
    [...entriesByCell.values()].some((entries) => entries.get(name)?.p99 !== undefined),
  );
  return table(
    ['cell', ...shown.map(({ label }) => label)],
    [...entriesByCell].map(([cell, entries]) => [
      `\`${cell}\``,
      ...shown.map(({ name }) => {
        const { p50, p99 } = entries.get(name) ?? {};
        return p99 === undefined ? '' : `${Math.round(p50)} / ${Math.round(p99)}`;
      }),
    ]),
  );
}

/** How many cells reach the two goals. */
export function goals(entriesByCell) {
  const count = (reference, least) => {
    const ratios = [...entriesByCell.values()]
      .map((entries) => [entries.get('dmiofs'), entries.get(reference)])
      .filter(([ours, base]) => ours !== undefined && base !== undefined)
      .map(([ours, base]) => pairedRatio(ours.iops, base.iops))
      .filter((value) => value !== undefined);
    return {
      reached: ratios.filter((value) => value >= least).length,
      of: ratios.length,
      median: median(ratios),
    };
  };
  return { floor: count('fuse-floor', 0.9), peer: count('peer', 1) };
}
