import { describe, expect, it } from 'vitest';
import { mapLines } from '../../../src/cli/status/map.js';
import { COLOURS, NO_COLOURS, paletteFor } from '../../../src/cli/status/paint.js';
import { statusSvg } from '../../../src/cli/status/svg.js';
import { mountLines, progressBar, shorten } from '../../../src/cli/status/table.js';
import type { LegStatus, MountStatus, SetStatus } from '../../../src/mirror/status.js';
import { coarser, type SyncMapText, syncMapText } from '../../../src/mirror/sync-map.js';

const leg = (index: number, more: Partial<LegStatus> = {}): LegStatus => ({
  leg: index,
  device: `/dev/disk/by-id/ata-MODEL_OF_A_DISK_SERIAL000${String(index)}`,
  sector: 0,
  count: 2048,
  state: 'in-sync',
  replaces: null,
  late_ios: 0,
  health: 'A',
  read_errors: 0,
  write_errors: 0,
  flush_errors: 0,
  sync_errors: 0,
  last_error: null,
  reads: 0,
  writes: 0,
  flushes: 0,
  read_bytes: 0,
  write_bytes: 0,
  repaired_reads: 0,
  ...more,
});
const set = (more: Partial<SetStatus> = {}): SetStatus =>
  ({
    name: 'data',
    state: 'degraded',
    size: 1024 ** 3,
    read_only: false,
    health: 'AD',
    read_leg: 0,
    log: 'ok',
    late_ios: 0,
    dirty: 0,
    sync_region_size: 512 * 1024,
    sync: { action: 'idle', done: 100, total: 100, speed: 0, eta: 0, failed: 0 },
    legs: [
      leg(0),
      leg(1, { state: 'failed', write_errors: 2, last_error: { errno: 'EIO', sector: 8, time: 100 } }),
    ],
    ...more,
  }) as SetStatus;
const mount = (...sets: readonly SetStatus[]): MountStatus =>
  ({
    mountpoint: '/mnt',
    pid: 7,
    config: '/etc/c.yaml',
    engine: 'uring',
    state: 'degraded',
    sets,
  }) as MountStatus;
const style = { width: undefined, palette: NO_COLOURS, now: 160 };

describe('the status table', () => {
  it('tells states, devices, errors and when the last one was', () => {
    const text = mountLines(mount(set()), style);
    expect(text).toContain('/mnt: degraded (pid 7, /etc/c.yaml, uring)');
    expect(text).toContain('data: degraded, 1.00 GiB, health AD');
    expect(text).toContain('100/100 sync regions in sync');
    expect(text).toMatch(/0\* +in-sync +\/dev\/disk\S+0000 +0 +- +-$/m);
    expect(text).toMatch(
      /1 +failed +\S+0001 +0 +2 write +EIO at sector 8, 1970-01-01 00:01:40Z \(1 min ago\)$/m,
    );
  });

  it('shows that sync actions are paused, and how they go on', () => {
    const idle = {
      action: 'idle',
      done: 100,
      total: 100,
      speed: 0,
      eta: 0,
      failed: 0,
      paused: true,
    } as const;
    const text = (sync: object): string =>
      mountLines(mount(set({ in_sync: 100, sync: sync as SetStatus['sync'] })), style);
    expect(text(idle)).toContain('health AD, sync actions paused\n');
    const frozen = text({ ...idle, action: 'frozen', done: 25 });
    expect(frozen).toMatch(
      /frozen .* 25 %, 25\/100 sync regions in sync, paused: dmiofs resume lets it go on$/m,
    );
    expect(frozen).not.toContain('sync actions paused');
  });

  it('shows a running sync action with its bar, speed and time left', () => {
    const sync = {
      action: 'recover',
      done: 25,
      total: 100,
      speed: 1024 * 1024,
      eta: 200,
      failed: 1,
    } as SetStatus['sync'];
    const text = mountLines(mount(set({ sync })), style);
    expect(text).toContain(
      'recover ██████░░░░░░░░░░░░░░░░░░ 25 %, 1.00 MiB/s, 3 min 20 s left, 25/100 sync regions in sync, 1 could not be copied',
    );
    expect(mountLines(mount(set({ sync: { ...sync, eta: -1 } })), style)).toContain('time left unknown');
    expect(mountLines(mount(set({ sync: { ...sync, action: 'frozen' } })), style)).not.toContain('left');
  });

  it.each([60, 80, 100, 200])('fits into %i columns where it can', (width) => {
    const lines = mountLines(mount(set()), { ...style, width })
      .split('\n')
      .slice(3);
    if (width >= 80) for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    expect(lines.join('\n')).toMatch(/…\S*0001/.test(lines.join('\n')) ? /…/ : /SERIAL0001/);
  });

  it('shows a replacement and what a device owes', () => {
    const legs = [leg(0), leg(1, { state: 'rebuilding', replaces: 0, late_ios: 3 })];
    expect(mountLines(mount(set({ legs })), style)).toContain('rebuilding, replaces 0, 3 late');
  });

  it('writes nothing to the terminal that a name could hide', () => {
    const text = mountLines(
      mount(set({ name: 'a\u001b[31m', legs: [leg(0, { device: '/x\n\u202ey' })] })),
      style,
    );
    expect(text).toContain('a\\u{1b}[31m');
    expect(text).toContain('/x\\u{0a}\\u{202e}y');
  });

  it('has colours on a terminal only, and none where they are not wanted', () => {
    expect(paletteFor(true, {})).toBe(COLOURS);
    expect(paletteFor(true, { NO_COLOR: '' })).toBe(COLOURS);
    expect(paletteFor(true, { NO_COLOR: '1' })).toBe(NO_COLOURS);
    expect(paletteFor(true, { TERM: 'dumb' })).toBe(NO_COLOURS);
    expect(paletteFor(false, {})).toBe(NO_COLOURS);
    expect(mountLines(mount(set()), { ...style, palette: COLOURS })).toContain('\u001b[31mfailed\u001b[0m');
  });

  it('shortens in the middle', () => {
    expect(shorten('/dev/sda', 8)).toBe('/dev/sda');
    expect(shorten('/dev/disk/by-id/0123', 10)).toBe('/de…d/0123');
    expect(progressBar(0, 0, 4)).toBe('████');
    expect(progressBar(1, 1000, 4)).toBe('░░░░');
    expect(progressBar(999, 1000, 4)).toBe('███░');
  });
});

describe('the map of sync regions', () => {
  const map = syncMapText({ syncRegions: 10, perCell: 2, cells: Uint8Array.from([0, 1, 2, 2, 0]) }, [6]);

  it('has a character for each group, and what is copied stands out', () => {
    expect(map).toEqual({ version: 1, sync_regions: 10, per_cell: 2, cells: '.+#>.' });
  });

  it('becomes coarser by the worst', () => {
    expect(coarser(map, 5)).toBe(map);
    expect(coarser(map, 3)).toMatchObject({ per_cell: 4, cells: '+>.' });
    expect(coarser({ ...map, cells: '..+.##' }, 2)).toMatchObject({ per_cell: 6, cells: '+#' });
  });

  it('is as wide as the terminal, with its legend and scale', () => {
    const long: SyncMapText = {
      version: 1,
      sync_regions: 100,
      per_cell: 1,
      cells: '.'.repeat(99).concat('#'),
    };
    const lines = mapLines(set(), long, 54, NO_COLOURS).split('\n');
    expect(lines.slice(1, 3)).toEqual([`    ${'.'.repeat(50)}`, `    ${'.'.repeat(49)}#`]);
    expect(lines[3]).toContain('# not in sync');
    expect(lines[4]).toContain('one sync region, 512 KiB');
    const most: SyncMapText = { version: 1, sync_regions: 1e6, per_cell: 256, cells: '.'.repeat(3907) };
    expect(mapLines(set(), most, 54, NO_COLOURS).split('\n').length).toBeLessThanOrEqual(19);
  });
});

describe('the picture', () => {
  const map: SyncMapText = { version: 1, sync_regions: 130, per_cell: 1, cells: `${'.'.repeat(128)}#>` };

  it('is an SVG that stands alone, with every state and leg', () => {
    const svg = statusSvg([{ mount: mount(set()), maps: [map] }], new Date(0));
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).not.toMatch(/<script|href|url\(|@import/);
    expect(svg).toContain('not in sync: sync regions 128 to 128');
    expect(svg.match(/class="c"><title>/g)).toHaveLength(2); // two full rows, a rectangle each
    expect(svg).toContain('leg 1');
  });

  it('says what a name holds without being it', () => {
    const svg = statusSvg(
      [{ mount: mount(set({ name: '</text><script>&"\u0000\ud800' })), maps: [map] }],
      new Date(0),
    );
    expect(svg).toContain('&lt;/text&gt;&lt;script&gt;&amp;&quot;\\u{00}\ufffd');
    expect(svg).not.toContain('<script>');
  });
});
