/** Where a value stands in a config file: line and column by key path. */
import { isMap, isPair, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';

export type KeyPath = readonly (string | number)[];

export interface Position {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

function keyMatches(key: unknown, part: string | number): boolean {
  return isScalar(key) ? String(key.value) === String(part) : String(key) === String(part);
}

/** The node of a path, or of its key (`'key'`); of the nearest parent when the path itself is not in the file. */
function nodeAt(document: Document, path: KeyPath, want: 'key' | 'value'): Node | null {
  let node: Node | null = document.contents;
  for (const [index, part] of path.entries()) {
    const last = index === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyMatches(item.key, part));
      if (pair === undefined) return node;
      const value = pair.value as Node | null;
      const key = pair.key as Node | null;
      if (last && want === 'key') return key;
      if (value === null) return key;
      node = value;
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | undefined;
      if (item === undefined) return node;
      node = item;
    } else {
      return node;
    }
  }
  return node;
}

export function positionOf(
  document: Document,
  lines: LineCounter,
  path: KeyPath,
  want: 'key' | 'value' = 'value',
): Position {
  const offset = nodeAt(document, path, want)?.range?.[0] ?? 0;
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** `sets.data.regions[1].device`. */
export function formatPath(path: KeyPath): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${String(part)}]` : index === 0 ? part : `.${part}`))
    .join('');
}
