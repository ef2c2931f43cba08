import type { Cell } from '../cells.mjs';

export interface Target {
  readonly name: string;
  readonly label: string;
  readonly supports?: (cell: Cell) => boolean;
}
export const TARGETS: readonly Target[];
export const PRESET_TARGETS: Readonly<Record<'quick' | 'normal' | 'full', readonly string[]>>;
export function supports(target: Target, cell: Cell): boolean;
export function chooseTargets(texts: readonly string[]): readonly Target[];
