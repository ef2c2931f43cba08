import type { Cell } from './cells.mjs';

export function fioArguments(
  cell: Cell,
  file: string,
  options: { readonly seconds: number; readonly bytes: number },
): readonly string[];
