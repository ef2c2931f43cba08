import { describe, expect, it } from 'vitest';
import { MountWatch } from '../../../src/cli/monitor/mount-watch.js';
import type { EventList, KeptEvent, MirrorEventKind, Standing } from '../../../src/mirror/event.js';

const event = (seq: number, kind: MirrorEventKind, more: Partial<KeptEvent> = {}): KeptEvent => ({
  run: 'a',
  seq,
  time: seq * 1000,
  kind,
  set: 'data',
  leg: null,
  device: null,
  errno: null,
  sector: null,
  action: null,
  failed: null,
  ...more,
});
const list = (events: readonly KeptEvent[], more: Partial<EventList> = {}): EventList => ({
  version: 1,
  run: 'a',
  last: events.at(-1)?.seq ?? 0,
  first: events[0]?.seq ?? 1,
  events,
  standing: [],
  ...more,
});
const wrong = (leg: number | null, more: Partial<Standing> = {}): Standing => ({
  kind: 'degraded-at-start',
  set: 'data',
  leg,
  device: leg === null ? null : `/dev/${String(leg)}`,
  errno: null,
  sector: null,
  ...more,
});
const told = (reports: readonly { event: string; leg: number | null }[]): string[] =>
  reports.map(({ event: kind, leg }) => (leg === null ? kind : `${kind} ${String(leg)}`));

describe('MountWatch', () => {
  it('tells what stands when it comes, and not what was before', () => {
    const watch = new MountWatch('/mnt', undefined, false, () => 0);
    const before = [event(1, 'leg-failed', { leg: 1 })];
    const reports = watch.standing(
      list(before, { standing: [wrong(1), wrong(2), wrong(null, { kind: 'log-failed' })] }),
    );
    expect(told(reports)).toEqual(['degraded-at-start 1', 'degraded-at-start 2', 'log-failed']);
    expect(reports[0]).toMatchObject({ file: '/mnt/data', device: '/dev/1' });
    expect(watch.news(list(before, { standing: [wrong(1)] }))).toEqual([]);
  });

  it('tells each event once', () => {
    const watch = new MountWatch('/mnt', undefined, false);
    watch.standing(list([]));
    const [one, two] = [event(1, 'leg-failed', { leg: 1 }), event(2, 'resync-started')];
    expect(told(watch.news(list([one])))).toEqual(['leg-failed 1']);
    expect(told(watch.news(list([one, two])))).toEqual(['resync-started']);
    expect(told(watch.news(list([one, two])))).toEqual([]);
  });

  it('goes on over a restart of the daemon', () => {
    const watch = new MountWatch('/mnt', undefined, false);
    watch.standing(list([event(1, 'resync-started')]));
    const before = [event(1, 'resync-started'), event(2, 'leg-failed', { leg: 1 })];
    const after = event(3, 'degraded-at-start', { run: 'b', leg: 1 });
    expect(told(watch.news(list([...before, after], { run: 'b' })))).toEqual([
      'leg-failed 1',
      'degraded-at-start 1',
    ]);
    expect(told(watch.news(list([...before, after], { run: 'b' })))).toEqual([]);
  });

  it('tells an event that got a number again, its journal being lost', () => {
    const watch = new MountWatch('/mnt', undefined, false);
    watch.standing(list([event(7, 'resync-started')]));
    expect(told(watch.news(list([event(1, 'leg-failed', { run: 'b', leg: 0 })], { run: 'b' })))).toEqual([
      'leg-failed 0',
    ]);
  });

  it('says how many events it has not seen', () => {
    const watch = new MountWatch('/mnt', undefined, false);
    watch.standing(list([event(1, 'resync-started')]));
    const [lost, ...others] = watch.news(list([event(9, 'leg-failed', { leg: 0 })]));
    expect(lost).toMatchObject({ event: 'events-lost', failed: 7, set: null, file: '/mnt' });
    expect(told(others)).toEqual(['leg-failed 0']);
  });

  it('takes all of a mount that came after it, and nothing of earlier daemons', () => {
    const watch = new MountWatch('/mnt', undefined, true);
    const events = [event(1, 'leg-failed', { leg: 0 }), event(2, 'degraded-at-start', { run: 'b', leg: 0 })];
    expect(told(watch.fromTheStart(list(events, { run: 'b' })))).toEqual(['degraded-at-start 0']);
    expect(watch.news(list(events, { run: 'b' }))).toEqual([]);
  });

  it('tells only of the set that was named', () => {
    const watch = new MountWatch('/mnt', 'data', false);
    const standing = [wrong(1), wrong(0, { set: 'other' })];
    expect(told(watch.standing(list([], { standing })))).toEqual(['degraded-at-start 1']);
    const news = watch.news(list([event(1, 'set-failed', { set: 'other' }), event(2, 'set-failed')]));
    expect(news.map(({ set: name }) => name)).toEqual(['data']);
  });

  it('tells trouble with the daemon once, and when it is over', () => {
    const watch = new MountWatch('/mnt', undefined, false);
    watch.standing(list([]));
    expect(told(watch.trouble('daemon-hung'))).toEqual(['daemon-hung']);
    expect(told(watch.trouble('daemon-hung'))).toEqual([]);
    expect(told(watch.trouble('daemon-died'))).toEqual(['daemon-died']);
    expect(told(watch.news(list([])))).toEqual(['daemon-back']);
    expect(told(watch.news(list([])))).toEqual([]);
  });
});
