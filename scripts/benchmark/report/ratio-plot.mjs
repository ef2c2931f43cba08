// The overview: of each cell, dmiofs against the FUSE floor and against the peer, on a logarithmic axis.
import { pairedRatio, spread } from '../stats.mjs';
import { element, line, picture, text } from './svg.mjs';

const ROW = 16;
const TOP = 122;
const COLUMN = 480;
const LABEL = 150;
const [LEAST, MOST] = [0.125, 8];
const TICKS = [0.125, 0.25, 0.5, 1, 2, 4, 8];

const clamp = (value) => Math.min(MOST, Math.max(LEAST, value));

function ratioAgainst(entries, target, reference) {
  const ours = entries.get(target)?.iops;
  const base = entries.get(reference)?.iops;
  if (ours === undefined || base === undefined) return undefined;
  const ratio = pairedRatio(ours, base);
  if (ratio === undefined) return undefined;
  const each = spread(
    ours.map((value, round) => (value > 0 && base[round] > 0 ? value / base[round] : null)),
  );
  return { ratio, ...each };
}

function mark(x, y, reference) {
  return reference === 'peer'
    ? element('path', { d: `M${x.toFixed(1)} ${y - 5}l5 5l-5 5l-5 -5z`, class: 'fill-peer' })
    : element('circle', { cx: x, cy: y, r: 4.5, class: 'fill-dmiofs' });
}

function row(left, y, cell, entries) {
  const width = COLUMN - LABEL - 30;
  const at = (ratio) => left + LABEL + (Math.log(clamp(ratio) / LEAST) / Math.log(MOST / LEAST)) * width;
  const parts = [text(left + LABEL - 10, y + 4, cell.replace(/-(direct|buffered)/, ''), 'faint', 'end')];
  for (const [reference, shift] of [
    ['fuse-floor', -2],
    ['peer', 2],
  ]) {
    const found = ratioAgainst(entries, 'dmiofs', reference);
    if (found === undefined) continue;
    parts.push(line(at(found.min), y + shift, at(found.max), y + shift, 'spread'));
    parts.push(mark(at(found.ratio), y + shift, reference));
  }
  return parts.join('');
}

function column(left, title, cells, rows) {
  const width = COLUMN - LABEL - 30;
  const bottom = TOP + rows * ROW;
  const at = (ratio) => left + LABEL + (Math.log(ratio / LEAST) / Math.log(MOST / LEAST)) * width;
  const parts = [text(left + LABEL, TOP - 24, title, 'head')];
  for (const tick of TICKS) {
    parts.push(line(at(tick), TOP - 6, at(tick), bottom, tick === 1 ? 'axis' : 'grid'));
    parts.push(text(at(tick), bottom + 14, `${tick}x`, 'small', 'middle'));
  }
  parts.push(line(at(0.9), TOP - 6, at(0.9), bottom, 'goal'));
  for (const [index, { name, entries }] of cells.entries())
    parts.push(row(left, TOP + index * ROW + ROW / 2, name, entries));
  return parts.join('\n');
}

/** `cells`: [{ name, direct, entries: Map of target to entry }], in the report's order. */
export function ratioPlot(place, cells) {
  const sides = [
    { title: 'direct', cells: cells.filter(({ direct }) => direct) },
    { title: 'buffered, with a final fsync', cells: cells.filter(({ direct }) => !direct) },
  ].filter((side) => side.cells.length > 0);
  const rows = Math.max(...sides.map((side) => side.cells.length));
  const width = 20 + sides.length * COLUMN;
  const height = TOP + rows * ROW + 34;
  const key = [
    mark(26, 66, 'fuse-floor'),
    text(36, 70, 'to the FUSE floor (goal: right of the dashed line, 0.9)', 'faint'),
    mark(366, 66, 'peer'),
    text(376, 70, 'to qemu-storage-daemon (goal: right of 1)', 'faint'),
  ];
  return picture(
    width,
    height,
    `dmiofs against the FUSE floor and the peer, legs on ${place}`,
    'Transfers a second, as a ratio: median of the rounds, with the least and the greatest. Right is faster.',
    [...key, ...sides.map((side, index) => column(10 + index * COLUMN, side.title, side.cells, rows))],
  );
}

export { ratioAgainst };
