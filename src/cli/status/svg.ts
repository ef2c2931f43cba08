/** `status --svg FILE`: a picture of the sets, their legs and the states of their sync regions, that stands alone: no script, no font, no link. */
import type { MountStatus, SetStatus } from '../../mirror/status.js';
import { coarser, type MapState, type SyncMapText } from '../../mirror/sync-map.js';
import { printable } from '../../util/printable.js';
import { humanSize } from '../../util/size.js';
import { MAP_STATES } from './map.js';
import { shorten } from './table.js';

const WIDTH = 960;
const MARGIN = 32;
const COLUMNS = 64;
const MOST_ROWS = 32;
const CELL = (WIDTH - 2 * MARGIN) / COLUMNS;
const LINE = 22;
/** Characters of a device's name. */
const MOST_DEVICE = 64;

const CLASS: Readonly<Record<MapState, string>> = {
  clean: 'c',
  dirty: 'd',
  'not in sync': 'n',
  recovering: 'r',
};

const STYLE = `
    svg { font-family: system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2933; }
    .page { fill: #fbfcfd; } .h1 { font-size: 20px; font-weight: 600; } .h2 { font-size: 16px; font-weight: 600; }
    .note { fill: #66727f; } .c { fill: #b7dfc3; } .d { fill: #f2c14e; } .n { fill: #d1495b; } .r { fill: #2e86ab; }
    .complete, .in-sync { fill: #2f9e58; } .degraded, .rebuilding { fill: #c98a04; } .failed, .missing { fill: #c22f45; }
    @media (prefers-color-scheme: dark) {
      svg { fill: #e3e8ee; } .page { fill: #14191f; } .note { fill: #93a0ad; } .c { fill: #2b5d3d; }
    }`;

/** For XML, which has no way to write control characters. */
function xml(text: string): string {
  return printable(text)
    .replace(/[\ud800-\udfff\ufffe\uffff]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const round = (value: number): string => String(Math.round(value * 100) / 100);

const text = (x: number, y: number, kind: string, content: string): string =>
  `<text x="${round(x)}" y="${round(y)}" class="${kind}">${xml(content)}</text>`;

/** Runs of equal cells as one rectangle each. */
function grid(
  set: SetStatus,
  map: SyncMapText,
  top: number,
): { readonly items: string[]; readonly height: number } {
  const shown = coarser(map, COLUMNS * MOST_ROWS);
  const items: string[] = [];
  const states = new Map(MAP_STATES.map(([state, cell]) => [cell, state]));
  const rows = Math.ceil(shown.cells.length / COLUMNS);
  for (let row = 0; row < rows; row++) {
    const cells = shown.cells.slice(row * COLUMNS, (row + 1) * COLUMNS);
    for (let from = 0, to = 0; from < cells.length; from = to) {
      while (to < cells.length && cells[to] === cells[from]) to += 1;
      const state = states.get(cells.charAt(from)) ?? 'clean';
      const first = (row * COLUMNS + from) * shown.per_cell;
      const last = Math.min((row * COLUMNS + to) * shown.per_cell, shown.sync_regions) - 1;
      const title = `${state}: sync regions ${String(first)} to ${String(last)}, from byte ${String(first * set.sync_region_size)}`;
      items.push(
        `<rect x="${round(MARGIN + from * CELL)}" y="${round(top + row * CELL)}" width="${round((to - from) * CELL - 1.5)}" ` +
          `height="${round(CELL - 1.5)}" rx="2" class="${CLASS[state]}"><title>${xml(title)}</title></rect>`,
      );
    }
  }
  return { items, height: rows * CELL };
}

function section(
  set: SetStatus,
  map: SyncMapText,
  top: number,
): { readonly items: string[]; readonly bottom: number } {
  const items: string[] = [];
  let y = top;
  items.push(
    `<circle cx="${String(MARGIN + 6)}" cy="${round(y - 5)}" r="6" class="${set.state}"/>`,
    text(MARGIN + 20, y, 'h2', set.name),
  );
  const { sync } = set;
  const action = sync.action === 'idle' ? '' : `, ${sync.action}`;
  const about = `${set.state}, ${humanSize(set.size)}, ${String(sync.done)} of ${String(sync.total)} sync regions in sync${action}`;
  items.push(
    `<text x="${String(WIDTH - MARGIN)}" y="${round(y)}" class="note" text-anchor="end">${xml(about)}</text>`,
  );
  y += 14;
  const drawn = grid(set, map, y);
  items.push(...drawn.items);
  y += drawn.height + LINE;
  for (const leg of set.legs) {
    const last =
      leg.last_error === null ? '' : `, ${leg.last_error.errno} at sector ${String(leg.last_error.sector)}`;
    items.push(
      `<circle cx="${String(MARGIN + 6)}" cy="${round(y - 4)}" r="4" class="${leg.state}"/>`,
      text(MARGIN + 20, y, '', `leg ${String(leg.leg)}`),
      text(MARGIN + 80, y, leg.state, leg.state),
      text(MARGIN + 170, y, '', shorten(leg.device, MOST_DEVICE)),
      `<text x="${String(WIDTH - MARGIN)}" y="${round(y)}" class="note" text-anchor="end">${xml(`from sector ${String(leg.sector)}${last}`)}</text>`,
    );
    y += LINE;
  }
  return { items, bottom: y + LINE };
}

export function statusSvg(
  mounts: readonly { readonly mount: MountStatus; readonly maps: readonly SyncMapText[] }[],
  now: Date,
): string {
  const items: string[] = [];
  let y = MARGIN + 16;
  for (const { mount, maps } of mounts) {
    items.push(text(MARGIN, y, 'h1', mount.mountpoint));
    const about = `${mount.config}, ${now.toISOString().replace(/\.\d+Z/, 'Z')}`;
    items.push(
      `<text x="${String(WIDTH - MARGIN)}" y="${round(y)}" class="note" text-anchor="end">${xml(about)}</text>`,
    );
    y += 40;
    for (const [index, set] of mount.sets.entries()) {
      const map = maps[index];
      if (map === undefined) continue;
      const drawn = section(set, map, y);
      items.push(...drawn.items);
      y = drawn.bottom + 12;
    }
  }
  let x = MARGIN;
  for (const [state] of MAP_STATES) {
    items.push(
      `<rect x="${round(x)}" y="${round(y - 11)}" width="12" height="12" rx="2" class="${CLASS[state]}"/>`,
      text(x + 18, y, 'note', state),
    );
    x += 40 + state.length * 8;
  }
  const height = Math.ceil(y + MARGIN);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${String(WIDTH)}" height="${String(height)}" viewBox="0 0 ${String(WIDTH)} ${String(height)}" role="img">`,
    `  <title>dmiofs: states of sync regions</title>`,
    `  <style>${STYLE}\n  </style>`,
    `  <rect width="100%" height="100%" class="page"/>`,
    ...items.map((item) => `  ${item}`),
    '</svg>',
    '',
  ].join('\n');
}
