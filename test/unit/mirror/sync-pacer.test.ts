import { describe, expect, it } from 'vitest';
import { SyncPacer } from '../../../src/mirror/sync-pacer.js';

const MIB = 1024 * 1024;

/** Moves pieces of 1 MiB, each taking `pieceMs`, for `seconds` of a made-up clock; returns bytes a second. */
function drive(
  pacer: SyncPacer,
  seconds: number,
  pieceMs: number,
  foreground: (now: number) => number,
): number {
  let now = 0;
  let moved = 0;
  while (now < seconds * 1000) {
    pacer.observeForeground(foreground(now), now);
    const delay = pacer.delay(now);
    if (delay > 0) {
      now += delay;
      continue;
    }
    now += pieceMs;
    pacer.moved(MIB, now);
    moved += MIB;
  }
  return moved / seconds;
}

const quiet = (): number => 0;
const busy = (now: number): number => Math.floor(now);

describe('SyncPacer', () => {
  it('goes as fast as it can when nobody else does I/O and there is no maximum', () => {
    expect(drive(new SyncPacer({ min: MIB, max: 0 }), 10, 5, quiet)).toBeGreaterThan(190 * MIB);
  });

  it('holds the maximum', () => {
    const speed = drive(new SyncPacer({ min: MIB, max: 20 * MIB }), 10, 5, quiet);
    expect(speed).toBeLessThan(21 * MIB);
    expect(speed).toBeGreaterThan(18 * MIB);
  });

  it('gives way to other I/O down to the minimum', () => {
    const speed = drive(new SyncPacer({ min: 8 * MIB, max: 0 }), 10, 5, busy);
    expect(speed).toBeLessThan(9.5 * MIB);
    expect(speed).toBeGreaterThan(7 * MIB);
  });

  it('never goes above the maximum for the sake of a larger minimum', () => {
    expect(drive(new SyncPacer({ min: 50 * MIB, max: 10 * MIB }), 10, 5, busy)).toBeLessThan(11 * MIB);
  });

  it('speeds up again when the other I/O ends', () => {
    const speed = drive(new SyncPacer({ min: MIB, max: 0 }), 10, 5, (now) => (now < 5000 ? now : 5000));
    expect(speed).toBeGreaterThan(90 * MIB);
  });

  it('takes up new limits while it runs', () => {
    const pacer = new SyncPacer({ min: MIB, max: MIB });
    drive(pacer, 5, 5, quiet);
    pacer.setLimits({ min: MIB, max: 0 });
    expect(pacer.delay(5000)).toBe(0);
  });

  it('tells the speed of the last seconds', () => {
    const pacer = new SyncPacer();
    for (let now = 0; now <= 4000; now += 100) pacer.moved(MIB, now);
    expect(pacer.speed(4000) / MIB).toBeCloseTo(10, 0);
  });
});
