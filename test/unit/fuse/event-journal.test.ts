import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventJournal } from '../../../src/fuse/event-journal.js';
import type { MirrorSetEvent } from '../../../src/mirror/event.js';
import { canMount } from '../../helpers/mounted.js';

const event = (set: string, more: Partial<MirrorSetEvent> = {}): MirrorSetEvent => ({
  kind: 'resync-started',
  set,
  leg: null,
  device: null,
  errno: null,
  sector: null,
  action: null,
  failed: null,
  ...more,
});

describe('EventJournal', () => {
  let dir = '';
  let problems: string[] = [];
  const open = (file: string | undefined = join(dir, 'x.events')): EventJournal =>
    EventJournal.open(file, (message) => problems.push(message));
  beforeEach(() => {
    dir = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-journal-'));
    problems = [];
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it('numbers events, over restarts too', () => {
    const first = open();
    first.append(event('a'));
    first.append(event('b'));
    const second = open(); // as after SIGKILL: the first was never closed
    second.append(event('c'));
    const list = second.list(undefined);
    expect(list.events.map(({ set, seq }) => [set, seq])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    expect(list).toMatchObject({ first: 1, last: 3 });
    expect(list.events[2]?.run).toBe(list.run);
    expect(list.events[0]?.run).not.toBe(list.run);
    expect(statSync(join(dir, 'x.events')).mode & 0o777).toBe(0o600);
  });

  it('keeps its attribute under 64 KiB, and says where the list begins', () => {
    const journal = open();
    for (let at = 0; at < 300; at++) journal.append(event('a', { device: `/dev/${'x'.repeat(1000)}` }));
    const wrong = {
      ...event('a', { device: `/dev/${'y'.repeat(1000)}` }),
      kind: 'degraded-at-start' as const,
    };
    const list = journal.list(
      undefined,
      Array.from({ length: 640 }, () => wrong),
    );
    expect(list.standing.length).toBeGreaterThan(10);
    expect(Buffer.byteLength(JSON.stringify(list))).toBeLessThan(64 * 1024);
    expect(list.last).toBe(300);
    expect(list.first).toBe(300 - list.events.length + 1);
  });

  it('is bounded on disk', () => {
    const journal = open();
    for (let at = 0; at < 3000; at++) journal.append(event('a'));
    expect(readFileSync(join(dir, 'x.events'), 'utf8').split('\n').length).toBeLessThan(1100);
    expect(open().list(undefined).last).toBe(3000);
  });

  it.runIf(canMount)('loses what does not fit the disk, and nothing after it', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', dir]);
    const journal = open();
    try {
      const file = join(dir, 'x.events');
      const torn = (): boolean => !/(^|\n)$/.test(readFileSync(file, 'utf8'));
      for (let at = 0; !torn() && at < 300; at++) journal.append(event('full'));
      expect(torn()).toBe(true);
      expect(problems).toHaveLength(1);
      execFileSync('mount', ['-o', 'remount,size=64k', dir]);
      journal.append(event('after'));
      const next = open();
      next.close();
      expect(next.list('after').events).toHaveLength(1);
    } finally {
      journal.close();
      execFileSync('umount', [dir]);
    }
  });

  it('lists one set, without a gap where the others were', () => {
    const journal = open();
    for (const set of ['a', 'b', 'a']) journal.append(event(set));
    expect(journal.list('a')).toMatchObject({ first: 1, last: 3, events: [{ seq: 1 }, { seq: 3 }] });
  });

  it('reads over a torn line', () => {
    open().append(event('a'));
    appendFileSync(join(dir, 'x.events'), '{"run":"a","seq":2,"ki');
    const journal = open();
    journal.append(event('b'));
    expect(
      open()
        .list(undefined)
        .events.map(({ set }) => set),
    ).toEqual(['a', 'b']);
  });

  it('goes on in memory where it cannot be kept, and says so once', () => {
    const journal = open(join(dir, 'missing', 'x.events'));
    journal.append(event('a'));
    journal.append(event('b'));
    expect(journal.list(undefined).events).toHaveLength(2);
    expect(problems).toHaveLength(1);
  });
});
