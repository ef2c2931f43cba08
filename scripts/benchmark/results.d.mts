import type { ResultEntry } from './guard.mjs';

export interface Results {
  readonly format: number;
  readonly date: string;
  /** Of the oldest run that some cells are from. */
  readonly earlier?: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: { readonly rounds: number; readonly seconds: number; readonly bytes: number };
  readonly places: Readonly<Record<string, string>>;
  readonly cells: readonly ResultEntry[];
  readonly experiments: Readonly<Record<string, unknown>>;
}
export const FORMAT: number;
export function readResults(path: string): Results;
export function formatResults(results: Results): string;
export function writeResults(path: string, results: Results): void;
export function mergeResults(old: Results | undefined, now: Results): Results;
