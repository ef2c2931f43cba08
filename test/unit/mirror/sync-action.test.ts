import { describe, expect, it } from 'vitest';
import type { RegionComparison } from '../../../src/native/comparison.js';
import { SyncAction } from '../../../src/mirror/sync-action.js';
import type { RegionOutcome, SyncTarget } from '../../../src/mirror/sync-target.js';

class FakeTarget implements SyncTarget {
  readonly syncRegionBytes = 512 * 1024;
  readonly notInSync = new Set<number>();
  readonly copied: number[] = [];
  readonly unreadable = new Set<number>();
  isRebuilding = false;
  isPossible = true;
  inFlight = 0;
  mostInFlight = 0;
  onCopy: (syncRegion: number) => void = () => undefined;

  readonly total: number;

  constructor(total: number, notInSync: Iterable<number>) {
    this.total = total;
    for (const syncRegion of notInSync) this.notInSync.add(syncRegion);
  }
  nextNotInSync(from: number): number {
    for (let syncRegion = from; syncRegion < this.total; syncRegion++)
      if (this.notInSync.has(syncRegion)) return syncRegion;
    return -1;
  }
  async recoverRegion(syncRegion: number): Promise<RegionOutcome> {
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await Promise.resolve();
    this.inFlight -= 1;
    if (this.unreadable.has(syncRegion)) return 'failed';
    this.notInSync.delete(syncRegion);
    this.copied.push(syncRegion);
    this.onCopy(syncRegion);
    return 'copied';
  }
  readonly compared: string[] = [];
  readonly differing = new Set<number>();
  legsInUse = 2;
  onCompare: (syncRegion: number) => void = () => undefined;
  async compareRegion(syncRegion: number, repair: boolean): Promise<RegionComparison> {
    await Promise.resolve();
    this.compared.push(`${repair ? 'repair' : 'check'} ${String(syncRegion)}`);
    this.onCompare(syncRegion);
    const nothing = { rangeCount: 0, sectors: 0, repairedCount: 0, ranges: [] };
    if (this.unreadable.has(syncRegion)) return { outcome: 'failed', ...nothing };
    if (this.notInSync.has(syncRegion)) return { outcome: 'skipped', ...nothing };
    if (!this.differing.has(syncRegion)) return { outcome: 'compared', ...nothing };
    const legs = [0, 1].map((leg) => ({ leg, sha256: 'ab'.repeat(32), right: leg === 0 }));
    const range = { sector: syncRegion * 1024, count: 8, majority: false, repaired: repair, legs };
    return { outcome: 'compared', rangeCount: 1, sectors: 8, repairedCount: repair ? 1 : 0, ranges: [range] };
  }
  comparable(): boolean {
    return this.legsInUse > 1;
  }
  progress(): { inSync: number; total: number } {
    return { inSync: this.total - this.notInSync.size, total: this.total };
  }
  rebuilding(): boolean {
    return this.isRebuilding;
  }
  possible(): boolean {
    return this.isPossible;
  }
  activity(): number {
    return 0;
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return {
    promise,
    resolve: () => {
      settle();
    },
  };
}

interface Log {
  readonly events: string[];
  finished: Promise<void>;
}

function make(target: SyncTarget, initial: { paused?: boolean } = {}): { action: SyncAction; log: Log } {
  const { promise, resolve } = deferred();
  const log: Log = { events: [], finished: promise };
  const action = new SyncAction(
    target,
    {
      onStart: (name) => log.events.push(`start ${name}`),
      onFinish: (name, failed) => {
        log.events.push(`finish ${name} ${String(failed)}`);
        resolve();
      },
      onMismatch: (name, sectors, sector) =>
        log.events.push(`mismatch ${name} ${String(sectors)} at ${String(sector)}`),
    },
    initial,
  );
  return { action, log };
}

describe('SyncAction', () => {
  it('copies exactly the sync regions that are not in sync, several at once, in ascending order', async () => {
    const target = new FakeTarget(100, [3, 40, 41, 42, 43, 44, 99]);
    const { action, log } = make(target);
    action.start();
    await log.finished;
    expect(target.copied).toEqual([3, 40, 41, 42, 43, 44, 99]);
    expect(target.mostInFlight).toBeGreaterThan(1);
    expect(log.events).toEqual(['start resync', 'finish resync 0']);
    expect(action.state()).toMatchObject({ action: 'idle', done: 100, total: 100, eta: 0 });
  });

  it('is called recover while a leg is rebuilding', async () => {
    const target = new FakeTarget(4, [0, 1]);
    target.isRebuilding = true;
    const { action, log } = make(target);
    action.start();
    await log.finished;
    expect(log.events[0]).toBe('start recover');
  });

  it('does not start when nothing is out of sync or there is nowhere to copy to', () => {
    const nothing = make(new FakeTarget(4, []));
    nothing.action.start();
    expect(nothing.log.events).toEqual([]);
    const nowhere = new FakeTarget(4, [1]);
    nowhere.isPossible = false;
    const { action, log } = make(nowhere);
    action.start();
    expect(log.events).toEqual([]);
  });

  it('leaves a sync region that could not be copied, says so, and tries it again on resume', async () => {
    const target = new FakeTarget(10, [2, 5, 7]);
    target.unreadable.add(5);
    const { action, log } = make(target);
    action.start();
    await log.finished;
    expect(target.copied).toEqual([2, 7]);
    expect(log.events.at(-1)).toBe('finish resync 1');
    expect(action.state()).toMatchObject({ action: 'idle', done: 9, failed: 1 });
    target.unreadable.clear();
    action.resume();
    for (let turn = 0; turn < 200 && target.notInSync.size > 0; turn++) await Promise.resolve();
    await action.stop();
    expect(target.copied).toEqual([2, 7, 5]);
  });

  it('waits while paused and goes on from there', async () => {
    const target = new FakeTarget(
      50,
      Array.from({ length: 50 }, (_, index) => index),
    );
    const { action, log } = make(target);
    const paused = deferred();
    target.onCopy = (syncRegion) => {
      if (syncRegion === 10) {
        action.pause();
        paused.resolve();
      }
    };
    action.start();
    await paused.promise;
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    const at = target.copied.length;
    expect(at).toBeLessThan(20);
    expect(action.state().action).toBe('frozen');
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    expect(target.copied.length).toBe(at);
    action.resume();
    await log.finished;
    expect(new Set(target.copied).size).toBe(50);
  });

  it('starts paused when it was paused before, without a copy', async () => {
    const target = new FakeTarget(5, [1, 2]);
    const { action } = make(target, { paused: true });
    action.start();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(target.copied).toEqual([]);
    expect(action.state()).toMatchObject({ action: 'frozen', paused: true });
    await action.stop();
  });

  it('takes up sync regions that fall out of sync behind it while it runs', async () => {
    const target = new FakeTarget(20, [10, 11, 12, 13, 14, 15]);
    const { action } = make(target);
    let once = true;
    target.onCopy = () => {
      if (!once) return;
      once = false;
      target.notInSync.add(1);
      action.start();
    };
    action.start();
    for (let turn = 0; turn < 200 && target.notInSync.size > 0; turn++) await Promise.resolve();
    expect(target.copied).toContain(1);
    await action.stop();
  });

  it('stops without starting another copy', async () => {
    const target = new FakeTarget(
      100,
      Array.from({ length: 100 }, (_, index) => index),
    );
    const { action, log } = make(target);
    action.start();
    await action.stop();
    expect(target.copied.length).toBeLessThan(100);
    expect(log.events).toEqual(['start resync']);
  });

  const settled = async (action: SyncAction): Promise<void> => {
    for (let turn = 0; turn < 2000 && action.state().action !== 'idle'; turn++) await Promise.resolve();
    expect(action.state().action).toBe('idle');
    await new Promise((resolve) => setTimeout(resolve, 0));
  };

  it('compares every sync region once, and says where it stands', async () => {
    const target = new FakeTarget(20, []);
    const { action } = make(target);
    const seen: string[] = [];
    target.onCompare = () => {
      const { action: name, done, total, inSync } = action.state();
      seen.push(`${name} ${String(done <= total)} ${String(inSync)}`);
    };
    action.scrub('check');
    await settled(action);
    expect(target.compared).toEqual(Array.from({ length: 20 }, (_, at) => `check ${String(at)}`));
    expect(new Set(seen)).toEqual(new Set(['check true 20']));
    expect(action.lastScrub()?.page('data', 0)).toMatchObject({
      state: 'finished',
      compared: 20,
      skipped: 0,
      mismatches: 0,
      next: null,
    });
    expect(action.state()).toMatchObject({ done: 20, total: 20, eta: 0 });
  });

  it('tells the first difference at once, and all of them at the end', async () => {
    const target = new FakeTarget(20, []);
    target.differing.add(3).add(17);
    const { action, log } = make(target);
    action.scrub('check');
    await settled(action);
    expect(log.events).toEqual(['mismatch check 8 at 3072', 'mismatch check 16 at null']);
    expect(action.lastScrub()?.left).toBe(2);
    action.scrub('repair');
    await settled(action);
    expect(action.lastScrub()?.page('data', 0)).toMatchObject({
      run: 2,
      mismatches: 2,
      repaired: 2,
      sectors: 16,
    });
    expect(action.lastScrub()?.left).toBe(0);
  });

  it('lets a copy go first, and then goes on where it was', async () => {
    const target = new FakeTarget(20, []);
    const { action, log } = make(target);
    let once = true;
    target.onCompare = (syncRegion) => {
      if (!once || syncRegion < 8) return;
      once = false;
      target.notInSync.add(2).add(19);
      action.start();
    };
    action.scrub('check');
    await settled(action);
    expect(log.events).toEqual(['start resync', 'finish resync 0']);
    expect(target.compared.length).toBe(20);
    expect(action.lastScrub()?.page('data', 0)).toMatchObject({ compared: 20, skipped: 0 });
  });

  it('skips what could not be copied, and does not try that for ever', async () => {
    const target = new FakeTarget(10, [4]);
    target.unreadable.add(4);
    const { action, log } = make(target);
    action.scrub('check');
    await settled(action);
    expect(log.events).toEqual(['start resync', 'finish resync 1']);
    expect(action.lastScrub()?.page('data', 0)).toMatchObject({ compared: 9, failed: 1 });
  });

  it('is refused while something runs', async () => {
    const target = new FakeTarget(20, [1]);
    const { action } = make(target);
    action.start();
    expect(() => {
      action.scrub('check');
    }).toThrow('check: resync runs: dmiofs wait');
    await settled(action);
    action.scrub('check');
    expect(() => {
      action.scrub('repair');
    }).toThrow('repair: check runs');
    await action.stop();
  });

  it('ends when fewer than two legs are left', async () => {
    const target = new FakeTarget(100, []);
    const { action } = make(target);
    target.onCompare = (syncRegion) => {
      if (syncRegion === 10) target.legsInUse = 1;
    };
    action.scrub('check');
    await settled(action);
    const page = action.lastScrub()?.page('data', 0);
    expect(page).toMatchObject({ state: 'finished', total: 100 });
    expect((page?.compared ?? 0) + (page?.skipped ?? 0)).toBe(100);
    expect(page?.skipped).toBeGreaterThan(80);
  });

  it('pauses, and can be ended while it is paused', async () => {
    const target = new FakeTarget(50, []);
    const { action } = make(target, { paused: true });
    action.scrub('check');
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    expect(target.compared).toEqual([]);
    expect(action.state().action).toBe('frozen');
    action.resume();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    action.pause();
    action.endScrub();
    await settled(action);
    expect(target.compared.length).toBeLessThan(50);
    expect(action.lastScrub()?.page('data', 0).state).toBe('stopped');
    await new Promise((resolve) => setTimeout(resolve, 0));
    action.scrub('check');
    await action.stop();
    expect(action.lastScrub()?.page('data', 0).state).toBe('stopped');
  });
});
