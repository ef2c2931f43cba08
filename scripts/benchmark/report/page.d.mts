import type { Results } from '../results.mjs';

export function withGenerated(page: string, generated: string): string;
export function render(results: Results): {
  readonly text: string;
  readonly plots: ReadonlyMap<string, string>;
};
