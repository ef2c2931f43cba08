// Absolute figures: a panel for each operation and block size, in it a bar for each target and number of jobs.
import { BLOCKS, OPERATIONS } from '../cells.mjs';
import { spread } from '../stats.mjs';
import { legend, line, picture, rect, short, text } from './svg.mjs';

const PANEL = 244;
const LEFT = 24;
const TOP = 108;
const BAR = 9;
const GROUP_GAP = 10;
const PANEL_GAP = 44;
const NAMES = {
  read: 'read',
  write: 'write',
  randread: 'random read',
  randwrite: 'random write',
};

/** Bars from `top` down: for one job, then for four. */
function panel(left, top, title, groups, targets) {
  const width = PANEL - 70;
  const values = groups.flatMap(({ entries }) =>
    targets.map(({ name }) => spread(entries.get(name)?.iops ?? [])?.max),
  );
  const greatest = Math.max(...values.filter((value) => value !== undefined), 1);
  const scale = (value) => (value / greatest) * width;
  const parts = [text(left, top - 8, title, 'head')];
  let y = top;
  for (const { label, entries } of groups) {
    const begin = y;
    for (const { name } of targets) {
      const found = spread(entries.get(name)?.iops ?? []);
      if (found !== undefined) {
        const middle = y + BAR / 2;
        parts.push(rect(left + 18, y, scale(found.median), BAR - 1.5, name));
        parts.push(
          line(left + 18 + scale(found.min), middle, left + 18 + scale(found.max), middle, 'spread'),
        );
        parts.push(text(left + 22 + scale(found.max), y + 7.5, short(found.median), 'small'));
      }
      y += BAR + 2;
    }
    parts.push(text(left + 10, (begin + y) / 2 + 3, label, 'small', 'end'));
    parts.push(line(left + 16, begin - 1, left + 16, y - 1, 'axis'));
    y += GROUP_GAP;
  }
  return parts.join('\n');
}

/** `entriesOf(cellName)`: map of target to entry. Undefined where nothing was measured. */
export function barPlot(place, mode, entriesOf, targets) {
  const groupsOf = (operation, block) =>
    ['j1', 'j4']
      .map((load) => ({ label: load.slice(1), entries: entriesOf(`${operation}-${block}-${mode}-${load}`) }))
      .filter(({ entries }) => entries.size > 0);
  const rows = Object.keys(BLOCKS).filter((block) =>
    OPERATIONS.some((one) => groupsOf(one, block).length > 0),
  );
  const shown = targets.filter(({ name }) =>
    rows.some((block) =>
      OPERATIONS.some((one) => groupsOf(one, block).some(({ entries }) => entries.has(name))),
    ),
  );
  if (rows.length === 0) return undefined;
  const high = 2 * (shown.length * (BAR + 2) + GROUP_GAP) + PANEL_GAP;
  const parts = [
    legend(
      20,
      74,
      shown.map(({ name, label }) => ({ target: name, label })),
    ),
  ];
  for (const [row, block] of rows.entries()) {
    for (const [column, operation] of OPERATIONS.entries()) {
      const groups = groupsOf(operation, block);
      if (groups.length === 0) continue;
      const title = `${NAMES[operation]}, ${block.replace('k', ' KiB').replace('m', ' MiB')}`;
      parts.push(panel(LEFT + column * PANEL, TOP + 12 + row * high, title, groups, shown));
    }
  }
  const width = Math.max(
    LEFT + OPERATIONS.length * PANEL,
    30 + shown.reduce((sum, { label }) => sum + 35 + label.length * 7.2, 0),
  );
  return picture(
    width,
    TOP + rows.length * high,
    `Transfers a second, ${mode}, legs ${place === 'memory' ? 'in memory' : 'on disk'}`,
    'Median of the rounds, with the least and the greatest; for 1 and for 4 jobs. Each panel has a scale of its own.',
    parts,
  );
}
