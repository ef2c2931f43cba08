// The experiments: questions that are not a cell. Each is { name, what, seconds, run(context) -> data of the results }.
import { LEGS } from './legs.mjs';

export const EXPERIMENTS = [LEGS];
