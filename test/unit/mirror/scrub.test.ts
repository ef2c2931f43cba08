import { describe, expect, it } from 'vitest';
import { MOST_RANGES, Scrub, scrubText } from '../../../src/mirror/scrub.js';
import { scrubPageSchema } from '../../../src/mirror/scrub-schema.js';
import type { DifferingRange, RegionComparison } from '../../../src/native/comparison.js';

const range = (sector: number, legs = 2): DifferingRange => ({
  sector,
  count: 1,
  majority: legs > 2,
  repaired: false,
  legs: Array.from({ length: legs }, (_, leg) => ({
    leg,
    sha256: String(leg % 10).repeat(64),
    right: leg !== 1,
  })),
});
const compared = (ranges: readonly DifferingRange[], more = 0): RegionComparison => ({
  outcome: 'compared',
  rangeCount: ranges.length + more,
  sectors: ranges.length + more,
  repairedCount: 0,
  ranges,
});

describe('Scrub', () => {
  it('keeps the ranges in order, whatever the order they are found in', () => {
    const scrub = new Scrub('check', 1, 4);
    scrub.add(compared([range(3000), range(3010)]));
    scrub.add(compared([range(10)]));
    scrub.add(compared([range(2000)]));
    expect(scrub.page('data', 0).ranges.map(({ sector }) => sector)).toEqual([10, 2000, 3000, 3010]);
  });

  it('keeps so many ranges and counts all', () => {
    const scrub = new Scrub('check', 1, 4);
    for (let at = 0; at < 3; at++)
      scrub.add(
        compared(
          Array.from({ length: 400 }, (_, index) => range(at * 1024 + index)),
          5,
        ),
      );
    const sectors: number[] = [];
    for (let next: number | null = 0; next !== null; ) {
      const page = scrubPageSchema.parse(scrub.page('data', next));
      expect(JSON.stringify(page).length).toBeLessThan(65536);
      expect(page.mismatches).toBe(1215);
      sectors.push(...page.ranges.map(({ sector }) => sector));
      next = page.next;
    }
    expect(sectors.length).toBe(MOST_RANGES);
    expect(new Set(sectors).size).toBe(MOST_RANGES);
  });

  it('fits into an attribute with 64 legs', () => {
    const scrub = new Scrub('check', 1, 1);
    scrub.add(compared(Array.from({ length: 100 }, (_, index) => range(index, 64))));
    const page = scrub.page('data', 0);
    expect(JSON.stringify(page).length).toBeLessThan(65536);
    expect(page.ranges.length).toBeGreaterThan(5);
    expect(page.next).toBe(page.ranges.length);
    expect(scrub.page('data', 99).next).toBeNull();
    expect(scrub.page('data', 5000)).toMatchObject({ ranges: [], next: null });
  });

  it('says who is right', () => {
    const scrub = new Scrub('repair', 1, 3);
    scrub.add(compared([range(0, 2), range(1, 3)]));
    const nobody = { ...range(2), legs: range(2).legs.map((leg) => ({ ...leg, right: false })) };
    scrub.add(compared([nobody]));
    const { ranges } = scrub.page('data', 0);
    expect(ranges.map(({ by }) => by)).toEqual(['primary', 'majority', 'nobody']);
    expect(ranges[0]?.legs[0]).toEqual({ leg: 0, hash: '0000000000000000', right: true });
  });

  it('is finished when everything is done, and stopped when not', () => {
    const whole = new Scrub('check', 1, 1);
    expect(whole.take()).toBe(0);
    expect(whole.take()).toBeUndefined();
    whole.add(compared([]));
    whole.end();
    expect(whole.page('data', 0).state).toBe('finished');
    const part = new Scrub('check', 2, 2);
    part.take();
    part.end();
    expect(part.take()).toBeUndefined();
    expect(part.page('data', 0).state).toBe('stopped');
    expect(scrubText(part.page('data', 0))).toMatch(
      /^action=check state=stopped run=2 started=[0-9]+ finished=[0-9]+ compared=0 skipped=0 failed=0 mismatches=0 sectors=0 repaired=0$/,
    );
  });
});
