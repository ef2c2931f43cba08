/** `status --map`: a character for each group of sync regions, as wide as the terminal, and what the characters mean. */
import type { SetStatus } from '../../mirror/status.js';
import { coarser, MAP_CELLS, type MapState, type SyncMapText } from '../../mirror/sync-map.js';
import { printable } from '../../util/printable.js';
import { humanSize } from '../../util/size.js';
import type { Paint, Palette } from './paint.js';

const MOST_LINES = 16;
const INDENT = '    ';
/** Where there is no terminal to ask. */
const USUAL_WIDTH = 80;

function mapPaint(palette: Palette, state: MapState): Paint {
  switch (state) {
    case 'clean':
      return palette.green;
    case 'dirty':
      return palette.yellow;
    case 'not in sync':
      return palette.red;
    case 'recovering':
      return palette.blue;
    default:
      state satisfies never;
      return palette.dim;
  }
}

export const MAP_STATES = Object.entries(MAP_CELLS) as readonly (readonly [MapState, string])[];

export function mapLines(
  set: SetStatus,
  map: SyncMapText,
  width: number | undefined,
  palette: Palette,
): string {
  const columns = Math.max((width ?? USUAL_WIDTH) - INDENT.length, 16);
  const shown = coarser(map, columns * MOST_LINES);
  const paints = new Map(MAP_STATES.map(([state, cell]) => [cell, mapPaint(palette, state)]));
  const lines: string[] = [];
  for (let at = 0; at < shown.cells.length; at += columns) {
    // Painted in runs of equal cells.
    const line = shown.cells
      .slice(at, at + columns)
      .replace(/(.)\1*/g, (run) => (paints.get(run.charAt(0)) ?? palette.dim)(run));
    lines.push(`${INDENT}${line}`);
  }
  const legend = MAP_STATES.map(([state, cell]) => `${mapPaint(palette, state)(cell)} ${state}`).join('  ');
  const scale =
    shown.per_cell === 1
      ? `one sync region, ${humanSize(set.sync_region_size)}`
      : `${String(shown.per_cell)} sync regions, ${humanSize(shown.per_cell * set.sync_region_size)}; the worst of them shows`;
  return [`  ${printable(set.name)}`, ...lines, `${INDENT}${legend}`, `${INDENT}a character: ${scale}`].join(
    '\n',
  );
}
