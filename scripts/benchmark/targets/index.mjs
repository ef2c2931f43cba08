// The targets: what the same load is put on.
//
// start(place) makes one ready: { pids, measure(cell, { seconds, bytes }), stop() }; its legs are its own, so that all run side by side.
import { OURS } from './dmiofs.mjs';
import { FLOORS } from './floors.mjs';
import { PEERS } from './peer.mjs';

export const TARGETS = [...FLOORS, ...PEERS, ...OURS];

/** Of each preset: what --targets is without being given. */
export const PRESET_TARGETS = {
  quick: ['fuse-floor', 'peer', 'dmiofs'],
  normal: ['raw-floor', 'fuse-floor', 'peer', 'dmiofs'],
  full: ['*'],
};

export const supports = (target, cell) => target.supports?.(cell) ?? true;
