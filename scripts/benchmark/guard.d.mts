export interface ResultEntry {
  readonly place: string;
  readonly cell: string;
  readonly target: string;
  readonly iops: readonly (number | null)[];
  readonly error?: string;
}
export interface CellResults {
  readonly cells: readonly ResultEntry[];
}
export interface Ratio {
  readonly place: string;
  readonly cell: string;
  readonly target: string;
  readonly reference: string;
  readonly ratio: number;
}
export interface Offender {
  readonly place: string;
  readonly cell: string;
  readonly target: string;
  readonly reference: string | undefined;
  readonly committed?: number;
  readonly now?: number;
  readonly change: number;
  readonly error?: string;
}
export const REFERENCES: readonly string[];
export function ratiosOf(results: CellResults): ReadonlyMap<string, Ratio>;
export function compare(
  committed: CellResults,
  now: CellResults,
  margin: number,
): { readonly offenders: readonly Offender[]; readonly compared: number };
export function offenderTable(offenders: readonly Offender[]): string;
