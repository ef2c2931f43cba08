/** Where a value stands in a config file: line and column by key path. */
import { isMap, isNode, isPair, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';

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
      const pair = node.items.findLast((item) => isPair(item) && keyMatches(item.key, part));
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

/** Where a node ends; a node that is not there ends before everything. */
const endOf = (node: unknown): number => (isNode(node) ? (node.range?.[1] ?? -1) : -1);

/** The key path of what stands at an offset of the file; a tag or an anchor belongs to the value after it. */
export function pathAt(document: Document, offset: number): KeyPath {
  const path: (string | number)[] = [];
  let node: unknown = document.contents;
  for (;;) {
    if (isNode(node) && offset < (node.range?.[0] ?? 0)) return path;
    if (isMap(node)) {
      const pair = node.items.find(({ key, value }) => offset < Math.max(endOf(key), endOf(value)));
      if (pair === undefined) return path;
      if (!isScalar(pair.key)) return path;
      path.push(String(pair.key.value));
      if (offset < endOf(pair.key)) return path;
      node = pair.value;
    } else if (isSeq(node)) {
      const index = node.items.findIndex((item) => offset < endOf(item));
      if (index < 0) return path;
      path.push(index);
      node = node.items[index];
    } else {
      return path;
    }
  }
}

/** A name as it can stand in one line of a message, and be told from the names around it. */
const quoted = (part: string): string =>
  /^[^\p{Cc}\p{Surrogate}\s".[\]]+$/u.test(part) ? part : JSON.stringify(part);

/** `sets.data.regions[1].device`; a name of more than plain characters is quoted: `sets."a.img".size`. */
export function formatPath(path: KeyPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${String(part)}]`;
      return index === 0 ? quoted(part) : `.${quoted(part)}`;
    })
    .join('');
}
