/** The control verbs as text: each is parsed strictly; what is wrong is said, and nothing is done. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTROL_VERBS, runControl } from '../../../src/fuse/control/verbs.js';
import type { MirrorSet } from '../../../src/mirror/mirror-set.js';

/** A set that notes what it is told. */
function recorder(speedLimits = { min: 1, max: 0 }): {
  readonly set: MirrorSet;
  readonly calls: unknown[][];
} {
  const calls: unknown[][] = [];
  const set = new Proxy(
    { speedLimits },
    {
      get: (target, name) =>
        name === 'speedLimits'
          ? target.speedLimits
          : (...args: unknown[]) => {
              calls.push([name, ...args]);
              return Promise.resolve();
            },
    },
  ) as unknown as MirrorSet;
  return { set, calls };
}

async function said(text: string, speedLimits?: { min: number; max: number }): Promise<unknown[][]> {
  const { set, calls } = recorder(speedLimits);
  await runControl(set, text);
  return calls;
}

describe('a control verb', () => {
  test.each<[string, unknown[]]>([
    ['fail 1', ['failLeg', 1]],
    ['  fail   63 \n', ['failLeg', 63]],
    ['re-add 0', ['reAddLeg', 0]],
    ['clear', ['clearErrors', -1]],
    ['clear 2', ['clearErrors', 2]],
    ['check', ['scrub', 'check']],
    ['repair', ['scrub', 'repair']],
    ['idle', ['endScrub']],
    ['pause', ['pause']],
    ['resume', ['resume']],
    ['speed max=1MiB', ['setSpeed', { min: 1, max: 1048576 }]],
    ['speed min=2k max=0', ['setSpeed', { min: 2048, max: 0 }]],
    ['speed max=0 min=0', ['setSpeed', { min: 0, max: 0 }]],
    ['add /dev/sdc', ['addLeg', { device: '/dev/sdc', sector: 0 }]],
    ['add sector=8 /a  b', ['addLeg', { device: '/a  b', sector: 8 }]],
    ['remove 1', ['removeLeg', 1]],
    ['replace 1 /dev/sdc', ['replaceLeg', 1, { device: '/dev/sdc', sector: 0 }]],
    ['replace 0 sector=2048 sector=x', ['replaceLeg', 0, { device: 'sector=x', sector: 2048 }]],
  ])('%j is done', async (text, call) => {
    expect(await said(text)).toEqual([call]);
  });

  test.each([
    ['', 'no verb ""'],
    ['explode', 'no verb "explode"'],
    ['FAIL 1', 'no verb "FAIL"'],
    ['fail', 'a leg is its index'],
    ['fail 64x', 'a leg is its index'],
    ['fail -1', 'a leg is its index'],
    ['fail 01', 'a leg is its index'],
    ['fail 1 2', 'too many words: "2"'],
    ['pause now', 'too many words'],
    ['speed', 'give min=RATE'],
    ['speed min=fast', 'is not min=RATE'],
    ['speed min=2M max=1M', 'min is above max'],
    ['speed min=1 min=2', 'min= is given twice'],
    ['speed max=', 'is not min=RATE'],
    ['add', 'a device is missing'],
    ['add sector=8', 'a device is missing'],
    ['add sector=-1 /dev/x', 'sector= is a number'],
    ['replace 1', 'a device is missing'],
    ['replace /dev/x', 'a leg is its index'],
    ['fail 1\nfail 2', 'one line'],
    ['fail 1\u0000', 'one line'],
  ])('%j is refused', async (text, reason) => {
    const { set, calls } = recorder();
    await expect(runControl(set, text)).rejects.toThrow(reason);
    expect(calls).toEqual([]);
  });

  test.each([
    ['max=1M', { min: 4, max: 0 }, { min: 4, max: 1048576 }],
    ['max=1M', { min: 2097152, max: 0 }, { min: 1048576, max: 1048576 }],
    ['max=0', { min: 2, max: 2 }, { min: 2, max: 0 }],
    ['min=3', { min: 2, max: 2 }, { min: 3, max: 3 }],
    ['min=3', { min: 2, max: 0 }, { min: 3, max: 0 }],
    ['min=1', { min: 2, max: 2 }, { min: 1, max: 2 }],
  ])('speed %s after %j gives %j: the other limit follows where it must', async (text, before, after) => {
    expect(await said(`speed ${text}`, before)).toEqual([['setSpeed', after]]);
  });

  test('of any text at all does one thing, or is refused with a coded error', async () => {
    const words = fc.oneof(
      fc.constantFrom(...CONTROL_VERBS.map(({ name }) => name), 'sector=1', 'min=1', '0', '7', '/dev/a'),
      fc.string({ unit: 'binary' }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(words, { maxLength: 5 }), async (parts) => {
        const { set, calls } = recorder();
        try {
          await runControl(set, parts.join(' '));
          expect(calls).toHaveLength(1);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_DMIOFS_CONTROL' });
          expect(calls).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
