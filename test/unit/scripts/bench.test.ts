import { describe, expect, it } from 'vitest';
import { CELLS, PRESET_CELLS, select } from '../../../scripts/benchmark/cells.mjs';
import { fioArguments } from '../../../scripts/benchmark/fio.mjs';
import type { ResultEntry } from '../../../scripts/benchmark/guard.mjs';
import { render, withGenerated } from '../../../scripts/benchmark/report/page.mjs';
import { formatResults, mergeResults, type Results } from '../../../scripts/benchmark/results.mjs';
import { chooseTargets, PRESET_TARGETS, supports } from '../../../scripts/benchmark/targets/index.mjs';
import { median, spread } from '../../../scripts/benchmark/stats.mjs';

const MIB = 1024 * 1024;

const entry = (cell: string, target: string, ...iops: readonly (number | null)[]): ResultEntry => ({
  place: 'disk',
  cell,
  target,
  iops,
});

function results(cells: readonly ResultEntry[], changes: Partial<Results> = {}): Results {
  return {
    format: 1,
    date: '2026-01-02T03:04:05.678Z',
    machine: { cpu: 'CPU <X>', cpus: 2, memoryGib: 8, virtual: true, kernel: '6.1', distribution: 'D' },
    versions: { dmiofs: '1', commit: 'abc', node: 'v20', fio: 'fio-3', peer: 'qsd 7', libfuse3: '3.14' },
    settings: { rounds: 2, seconds: 1, bytes: 64 * MIB },
    places: { disk: 'ext4' },
    cells,
    experiments: {},
    ...changes,
  };
}

describe('the statistics of scripts/bench', () => {
  it('takes the middle, and the mean of the two middle ones; failed samples do not count', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 100])).toBe(3);
    expect(median([null, 7, undefined])).toBe(7);
    expect(median([null])).toBeUndefined();
    expect(spread([3, null, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  });
});

describe('the cells of scripts/bench', () => {
  it('are all that the goals speak of, each once', () => {
    const names = CELLS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    // {read, write, random read, random write} x {4 KiB, 128 KiB, 1 MiB} x {direct, buffered} x {1, 4 jobs}
    expect(
      names.filter((name) => /^(rand)?(read|write)-(4k|128k|1m)-(direct|buffered)-j[14]$/.test(name)),
    ).toHaveLength(48);
    expect(names).toEqual(expect.arrayContaining(['fsync-4k-buffered-j1', 'mixed-4k-direct-j4']));
  });

  it('are selected by patterns, in their own order', () => {
    const names = (...patterns: readonly string[]) => select(CELLS, patterns, 'cell').map(({ name }) => name);
    expect(names('mixed-*-j1', 'read-1m-direct-j?')).toEqual([
      'read-1m-direct-j1',
      'read-1m-direct-j4',
      'mixed-4k-direct-j1',
    ]);
    expect(names()).toEqual([]);
    for (const preset of Object.values(PRESET_CELLS)) expect(names(...preset).length).toBeGreaterThan(5);
  });

  it('names a pattern that selects nothing', () => {
    expect(() => select(CELLS, ['read-*', 'reed-*'], 'cell')).toThrow('no cell matches "reed-*"');
  });

  it('become arguments of fio', () => {
    const args = (name: string) => {
      const [cell] = select(CELLS, [name], 'cell');
      if (cell === undefined) throw new Error(name);
      return fioArguments(cell, '/f', { seconds: 0.5, bytes: 64 * MIB });
    };
    expect(args('randwrite-4k-direct-q16')).toEqual(
      expect.arrayContaining([
        '--ioengine=libaio',
        '--iodepth=16',
        '--direct=1',
        '--time_based',
        '--runtime=500ms',
      ]),
    );
    // Four sequential jobs share the file; a buffered write ends with an fsync.
    const sequential = args('write-1m-buffered-j4');
    expect(sequential).toEqual(
      expect.arrayContaining([
        `--size=${16 * MIB}`,
        `--offset_increment=${16 * MIB}`,
        '--end_fsync=1',
        '--direct=0',
      ]),
    );
    expect(sequential).not.toContain('--time_based');
    expect(args('fsync-4k-buffered-j1')).toEqual(expect.arrayContaining(['--fsync=1', '--rw=randwrite']));
    expect(args('mixed-4k-direct-j1')).toEqual(expect.arrayContaining(['--rw=randrw', '--rwmixread=70']));
  });
});

describe('the targets of scripts/bench', () => {
  const cellsOf = (...texts: readonly string[]) =>
    chooseTargets(texts).map((target) => [
      target.name,
      CELLS.filter((cell) => supports(target, cell)).map(({ name }) => name),
    ]);

  it('are chosen for all cells, or for some', () => {
    expect(cellsOf('peer:read-1m-*-j1', 'peer:mixed-*')).toEqual([
      ['peer', ['read-1m-direct-j1', 'read-1m-buffered-j1', 'mixed-4k-direct-j1', 'mixed-4k-direct-j4']],
    ]);
    const [[name, cells] = []] = cellsOf('dmiofs');
    expect(name).toBe('dmiofs');
    expect(cells).toHaveLength(CELLS.length);
  });

  it('keep to the cells that they can do', () => {
    const [[, cells] = []] = cellsOf('raw-floor:read-4k-*-j1');
    expect(cells).toEqual(['read-4k-direct-j1']); // it has no page cache
  });

  it('names a pattern that chooses nothing', () => {
    expect(() => chooseTargets(['dmiofz'])).toThrow('no target matches "dmiofz"');
    expect(() => chooseTargets(['dmiofs:nothing-*'])).toThrow('no cell matches "nothing-*"');
    for (const preset of Object.values(PRESET_TARGETS))
      expect(chooseTargets(preset).length).toBeGreaterThan(2);
  });
});

describe('the results of scripts/bench', () => {
  const CELL = 'read-4k-direct-j1';
  const OTHER = 'write-4k-direct-j1';
  const old = results([entry(CELL, 'dmiofs', 1), entry(CELL, 'peer', 2), entry(OTHER, 'dmiofs', 3)], {
    experiments: { other: { rounds: 1 }, another: 1 },
  });

  it('replace a cell whole: its targets are of one run', () => {
    const merged = mergeResults(old, results([entry(CELL, 'dmiofs', 10)], { experiments: { another: 2 } }));
    expect(merged.cells).toEqual([entry(OTHER, 'dmiofs', 3), entry(CELL, 'dmiofs', 10)]);
    expect(merged.earlier).toBe(old.date);
    expect(render(merged).text).toContain('Some cells are of earlier runs, from 2026-01-02 on.');
    expect(merged.experiments).toEqual({ other: { rounds: 1 }, another: 2 });
  });

  it('of another machine, or other legs, are not mixed', () => {
    const now = results([entry(CELL, 'dmiofs', 10)]);
    const elsewhere = { ...now, machine: { ...now.machine, kernel: '6.2' } };
    expect(mergeResults(old, elsewhere)).toBe(elsewhere);
    const larger = { ...now, settings: { ...now.settings, bytes: 1 } };
    expect(mergeResults(old, larger)).toBe(larger);
    expect(mergeResults(undefined, now)).toBe(now);
  });

  it('are JSON with a line for each entry', () => {
    for (const one of [old, results([])]) expect(JSON.parse(formatResults(one))).toEqual(one);
    expect(
      formatResults(old)
        .split('\n')
        .filter((line) => line.includes('"target"')),
    ).toHaveLength(3);
  });
});

describe('the page of scripts/bench', () => {
  it('keeps what is written by hand', () => {
    const page = [
      '# Performance',
      '<!-- generated by scripts/bench --report: do not edit -->',
      'old',
      '<!-- end of the generated part -->',
      'after',
    ].join('\n');
    const once = withGenerated(page, 'new\n');
    expect(once).toMatch(/^# Performance\n/);
    expect(once).toMatch(/\nafter$/);
    expect(once).toContain('\nnew\n');
    expect(once).not.toContain('old');
    expect(withGenerated(once, 'new')).toBe(once);
    expect(() => withGenerated('# Performance', 'new')).toThrow('docs/performance.md has no');
  });

  it('has a table and plots of what was measured, and says what failed', () => {
    const { text, plots } = render(
      results([
        entry('read-4k-direct-j1', 'fuse-floor', 100, 110),
        entry('read-4k-direct-j1', 'peer', 50, 50),
        entry('read-4k-direct-j1', 'dmiofs', 95, 99),
        entry('read-4k-buffered-j4', 'dmiofs', null, null),
      ]),
    );
    expect(text).toContain(
      '| `read-4k-direct-j1` | 105 ±5% | 50.0 ±0% | 97 ±2% | 0.93 | 1.94 |'.replace('97 ', '97.0 '),
    );
    expect(text).toContain('| `read-4k-buffered-j4` |  |  | failed |  |  |');
    expect(text).toContain('| Legs on disk: no cell under 0.9 of the FUSE floor | 1 of 1 cells; least 0.93');
    expect(text).not.toContain('45,000'); // not measured: no word of it
    expect(text).toContain('Of 1 cells, 1 are at 0.9 of the FUSE floor or above');
    for (const [name, svg] of plots) {
      expect(text).toContain(`(benchmark/${name}.svg)`);
      expect(svg).toMatch(/^<svg [^>]*>[\s\S]*<\/svg>\n$/);
      expect(svg).not.toMatch(/NaN|undefined/);
      expect(svg).toContain('prefers-color-scheme:dark');
    }
    expect([...plots.keys()]).toEqual(expect.arrayContaining(['ratios-disk', 'disk-direct']));
  });
});
