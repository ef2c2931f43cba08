import { expect, test } from 'vitest';
import { deepFreeze } from '../../../src/util/deep-freeze.js';

test('freezes what is inside too, and ends on a cycle', () => {
  const tree: { list: { a: number }[]; self?: unknown } = { list: [{ a: 1 }] };
  tree.self = tree;
  const frozen = deepFreeze(tree);
  expect(Object.isFrozen(frozen.list)).toBe(true);
  expect(() => {
    const [first] = frozen.list;
    if (first !== undefined) first.a = 2;
  }).toThrow(TypeError);
});
