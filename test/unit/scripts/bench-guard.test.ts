import { describe, expect, it } from 'vitest';
import { compare, offenderTable, ratiosOf, type ResultEntry } from '../../../scripts/benchmark/guard.mjs';

const MARGIN = 0.15;

const entry = (target: string, ...iops: readonly (number | null)[]): ResultEntry => ({
  place: 'disk',
  cell: 'read-4k-direct-j1',
  target,
  iops,
});

const results = (...cells: readonly ResultEntry[]) => ({ cells });
const committed = results(entry('fuse-floor', 100), entry('peer', 50), entry('dmiofs', 90));

describe('the guard of scripts/bench', () => {
  it('makes a ratio of the samples of each round, then takes their median', () => {
    // A round in which the machine was three times as slow says the same as the others.
    const ratios = ratiosOf(results(entry('fuse-floor', 300, 100, 200), entry('dmiofs', 150, 50, 110)));
    expect([...ratios.values()].map(({ ratio }) => ratio)).toEqual([0.5]);
  });

  it('leaves out rounds that failed, and a target without a reference', () => {
    const ratios = ratiosOf(results(entry('fuse-floor', null, 100, 0), entry('dmiofs', 50, 80, 10)));
    expect([...ratios.values()].map(({ reference, ratio }) => [reference, ratio])).toEqual([
      ['fuse-floor', 0.8],
    ]);
    expect(ratiosOf(results(entry('dmiofs', 50))).size).toBe(0);
  });

  it('passes what is as fast as committed, on a machine of any speed', () => {
    const now = results(entry('fuse-floor', 1000), entry('peer', 500), entry('dmiofs', 900));
    expect(compare(committed, now, MARGIN)).toEqual({ offenders: [], compared: 2 });
  });

  it('passes a loss within the margin, and fails one beyond it', () => {
    const at = (iops: number) =>
      compare(committed, results(entry('fuse-floor', 100), entry('dmiofs', iops)), MARGIN).offenders;
    expect(at(77)).toEqual([]); // 0.9 * 0.85 = 0.765
    expect(at(76)).toHaveLength(1);
    expect(at(76)[0]).toMatchObject({ target: 'dmiofs', reference: 'fuse-floor', committed: 0.9, now: 0.76 });
  });

  it('holds each reference by itself: a slow floor hides nothing', () => {
    const now = results(entry('fuse-floor', 50), entry('peer', 50), entry('dmiofs', 45));
    expect(compare(committed, now, MARGIN).offenders.map(({ reference }) => reference)).toEqual(['peer']);
  });

  it('names the worst first', () => {
    const now = results(entry('fuse-floor', 100), entry('peer', 100), entry('dmiofs', 60));
    expect(compare(committed, now, MARGIN).offenders.map(({ reference }) => reference)).toEqual([
      'peer',
      'fuse-floor',
    ]);
  });

  it('fails a target of ours that worked and works no more, not one that never did', () => {
    const now = results(
      entry('fuse-floor', 100),
      { ...entry('dmiofs', null, null), error: 'fio: exit 1' },
      entry('dmiofs-none', null),
      entry('peer', null),
    );
    const { offenders } = compare(committed, now, MARGIN);
    expect(offenders).toEqual([expect.objectContaining({ target: 'dmiofs', error: 'fio: exit 1' })]);
  });

  it('compares only what both have measured', () => {
    const other = { ...entry('dmiofs', 1), cell: 'fsync-4k-buffered-j1' };
    const floor = { ...entry('fuse-floor', 100), cell: 'fsync-4k-buffered-j1' };
    expect(compare(committed, results(other, floor), MARGIN)).toEqual({ offenders: [], compared: 0 });
  });

  it('prints a table of the offenders', () => {
    const now = results(entry('fuse-floor', 100), entry('dmiofs', 45));
    const [head, row] = offenderTable(compare(committed, now, MARGIN).offenders).split('\n');
    expect(head?.split(/ {2,}/)).toEqual(['place', 'cell', 'ratio of', 'committed', 'now', 'change']);
    expect(row?.split(/ {2,}/)).toEqual([
      'disk',
      'read-4k-direct-j1',
      'dmiofs / fuse-floor',
      '0.90',
      '0.45',
      '-50%',
    ]);
  });
});
