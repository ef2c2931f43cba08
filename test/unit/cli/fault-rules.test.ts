import { describe, expect, it } from 'vitest';
import { checkFaultRules } from '../../../src/cli/fault-rules.js';

describe('the rules of --fault-rules', () => {
  it('are handed on as they are', () => {
    const rules = [
      { action: 'error', device: '/dev/x', ops: ['write', 'flush'], skip: 3, times: 1, error: 5 },
      { action: 'torn', tornBytes: 512, firstByte: 0, lastByte: 4095 },
      { action: 'delay', delayMs: 1, delayUs: 5, chancePerMillion: 1_000_000, seed: 7 },
    ];
    expect(checkFaultRules(rules)).toEqual(rules);
    expect(checkFaultRules([])).toEqual([]);
  });

  it.each([
    [{}, '--fault-rules: Invalid input: expected array'],
    [[{ action: 'explode' }], 'rule 0: action: Invalid option'],
    [[{ action: 'error' }, { action: 'error', devic: 'x' }], 'rule 1: Unrecognized key: "devic"'],
    [[{ action: 'error', ops: ['trim'] }], 'rule 0: ops.0: Invalid option'],
    [[{ action: 'error', skip: -1 }], 'rule 0: skip: Too small'],
    [[{ action: 'error', error: 0 }], 'rule 0: error: Too small'],
    [[{ action: 'error', chancePerMillion: 1_000_001 }], 'rule 0: chancePerMillion: Too big'],
  ])('that are wrong are refused with their number: %j', (rules, message) => {
    expect(() => checkFaultRules(rules)).toThrow(message);
  });
});
