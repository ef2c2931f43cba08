// The experiments: questions that are not a cell.
//
// Each is { name, what, samples (about how many a round: for the estimate), run(context) -> data, report(data, plot) -> Markdown,
// goals?(data) -> [[goal, figure, reached]] }.
import { LEGS } from './legs.mjs';
import { MOUNT } from './mount.mjs';
import { PARALLEL } from './parallel.mjs';
import { RESYNC } from './resync.mjs';
import { SETS } from './sets.mjs';
import { SIZE } from './size.mjs';

export const EXPERIMENTS = [PARALLEL, LEGS, SETS, SIZE, RESYNC, MOUNT];
