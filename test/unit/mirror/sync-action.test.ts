import { describe, expect, it } from 'vitest';
import { type RegionOutcome, SyncAction, type SyncTarget } from '../../../src/mirror/sync-action.js';

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
});
