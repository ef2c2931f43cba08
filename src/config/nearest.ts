/** The known key that a misspelt one was meant to be. */
import type { KeyPath } from './positions.js';
import { configSchema, logSchema, placeSchema, regionSchema, setSchema } from './schema.js';

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Those that the map at `path` may have. */
export function knownKeys(path: KeyPath): readonly string[] {
  if (path.length === 0) return Object.keys(configSchema.shape);
  if (path.length === 2) return Object.keys(setSchema.shape);
  if (path[4] === 'replacement') return Object.keys(placeSchema.shape);
  if (path[2] === 'regions') return Object.keys(regionSchema.shape);
  return path[2] === 'log' ? Object.keys(logSchema.shape) : [];
}

/** The candidate that `text` is a misspelling of; undefined: none is near enough. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  // A text of any length stands in the file; what is far longer than every candidate is none of them.
  const longest = Math.max(0, ...candidates.map((candidate) => candidate.length));
  if (text.length > 2 * longest + 2) return undefined;
  const normal = text.toLowerCase().replaceAll('-', '_');
  const [best] = candidates
    .map((candidate) => ({ candidate, far: distance(normal, candidate.replaceAll('-', '_')) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(1, Math.floor(text.length / 3))
    ? best.candidate
    : undefined;
}

export const nearestKey = (key: string, path: KeyPath): string | undefined => nearest(key, knownKeys(path));
