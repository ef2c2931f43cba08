/** The map of a set's sync regions as text: one character for each group of neighbours, the worst state of them. */
import type { SyncMap } from '../native/set-snapshot.js';

/** By state, from the best to the worst. */
export const MAP_CELLS = {
  clean: '.',
  dirty: '+',
  'not in sync': '#',
  recovering: '>',
} as const;

export type MapState = keyof typeof MAP_CELLS;

/** The value of `user.dmio.map`. */
export interface SyncMapText {
  readonly version: 1;
  readonly sync_regions: number;
  /** Sync regions that a character stands for. */
  readonly per_cell: number;
  readonly cells: string;
}

const STATES = [MAP_CELLS.clean, MAP_CELLS.dirty, MAP_CELLS['not in sync']] as const;
/** From the worst to the best, for the eye: what is copied right now stands out from what waits. */
const BY_WEIGHT: readonly string[] = [
  MAP_CELLS.recovering,
  MAP_CELLS['not in sync'],
  MAP_CELLS.dirty,
  MAP_CELLS.clean,
];

/** `copying`: numbers of the sync regions that are being copied. */
export function syncMapText(map: SyncMap, copying: readonly number[]): SyncMapText {
  const cells: string[] = Array.from(map.cells, (state) => STATES[state] ?? '?');
  for (const syncRegion of copying) cells[Math.floor(syncRegion / map.perCell)] = MAP_CELLS.recovering;
  return { version: 1, sync_regions: map.syncRegions, per_cell: map.perCell, cells: cells.join('') };
}

/** The same in at most `most` cells. */
export function coarser(map: SyncMapText, most: number): SyncMapText {
  const join = Math.ceil(map.cells.length / Math.max(most, 1));
  if (join <= 1) return map;
  const cells: string[] = [];
  for (let at = 0; at < map.cells.length; at += join) {
    const group = map.cells.slice(at, at + join);
    cells.push(BY_WEIGHT.find((cell) => group.includes(cell)) ?? '?');
  }
  return { ...map, per_cell: map.per_cell * join, cells: cells.join('') };
}
