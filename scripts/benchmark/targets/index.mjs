// The targets: what the same load is put on.
//
// start(place) makes one ready: { pids, measure(cell, { seconds, bytes }), stop() }; its legs are its own, so that all run side by side.
import { CELLS, matches, select } from '../cells.mjs';
import { OURS } from './dmiofs.mjs';
import { FLOORS } from './floors.mjs';
import { PEERS } from './peer.mjs';

export const TARGETS = [...FLOORS, ...PEERS, ...OURS];

/** Of each preset: what --targets is without being given. */
export const PRESET_TARGETS = {
  quick: ['fuse-floor', 'peer', 'dmiofs'],
  normal: [
    'raw-floor:*-j1',
    'fuse-floor',
    'peer',
    'dmiofs',
    'dmiofs-writeback:*write-*-buffered-*',
    'fuse-null:*-4k-direct-j1',
    'dmiofs-null:*-4k-direct-j1',
  ],
  full: ['*'],
};

export const supports = (target, cell) => target.supports?.(cell) ?? true;

/** The targets that texts of the form `PATTERN` or `PATTERN:CELL-PATTERN` ask for; with the second, at those cells only. */
export function chooseTargets(texts) {
  const chosen = new Map();
  for (const text of texts) {
    const [pattern, cells] = text.split(':');
    if (cells !== undefined) select(CELLS, [cells], 'cell');
    for (const target of select(TARGETS, [pattern], 'target')) {
      chosen.set(target.name, [...(chosen.get(target.name) ?? []), cells ?? '*']);
    }
  }
  return TARGETS.filter(({ name }) => chosen.has(name)).map((target) => ({
    ...target,
    supports: (cell) => supports(target, cell) && matches(cell.name, chosen.get(target.name)),
  }));
}
