export interface Cell {
  readonly name: string;
  readonly operation: string;
  readonly rw: string;
  readonly block: number;
  readonly mode: string;
  readonly direct: boolean;
  readonly jobs: number;
  readonly depth: number;
}
export const CELLS: readonly Cell[];
export const PRESET_CELLS: Readonly<Record<'quick' | 'normal' | 'full', readonly string[]>>;
export function matches(name: string, patterns: readonly string[]): boolean;
export function select<T extends { readonly name: string }>(
  things: readonly T[],
  patterns: readonly string[],
  what: string,
): readonly T[];
