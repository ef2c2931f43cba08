/** The status for people: what is wrong in one look. Pure text from a status; widths and colours are given. */
import type { LegStatus, MountStatus, SetStatus } from '../../mirror/status.js';
import { formatDuration } from '../../util/duration.js';
import { printable } from '../../util/printable.js';
import { humanSize } from '../../util/size.js';
import { GAP, plainTable } from '../plain-table.js';
import { type Palette, paintOf } from './paint.js';

export interface TableStyle {
  /** Columns; undefined: as wide as it gets. */
  readonly width: number | undefined;
  readonly palette: Palette;
  /** Unix seconds. */
  readonly now: number;
}

const HEAD = ['leg', 'state', 'device', 'sector', 'errors', 'last error'] as const;
const [STATE, DEVICE, ERRORS] = [HEAD.indexOf('state'), HEAD.indexOf('device'), HEAD.indexOf('errors')];
const INDENT = 4;
/** Of a device's name; where even that does not fit, the time of an error is told by its age only. */
const SHORTEST_DEVICE = 16;
const BAR = 24;

/** In the middle, where device names differ least. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.floor((width - 1) / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}

function lastError({ last_error: error }: LegStatus, now: number, brief: boolean): string {
  if (error === null) return '-';
  const time = new Date(error.time * 1000).toISOString().replace('T', ' ').replace('.000Z', 'Z');
  const age = formatDuration(Math.max(now - error.time, 0));
  const when = brief ? `${age} ago` : `${time} (${age} ago)`;
  return `${printable(error.errno)} at sector ${String(error.sector)}, ${when}`;
}

function stateOf(leg: LegStatus): string {
  const late = leg.late_ios > 0 ? `, ${String(leg.late_ios)} late` : '';
  return leg.replaces === null
    ? `${leg.state}${late}`
    : `${leg.state}, replaces ${String(leg.replaces)}${late}`;
}

function errors(leg: LegStatus): string {
  const kinds = [
    ['read', leg.read_errors],
    ['write', leg.write_errors],
    ['flush', leg.flush_errors],
    ['sync', leg.sync_errors],
  ] as const;
  const some = kinds.filter(([, count]) => count > 0).map(([kind, count]) => `${String(count)} ${kind}`);
  return some.length === 0 ? '-' : some.join(', ');
}

/** What is left for the device, which gives way where the table is wider than the terminal. */
function deviceWidth(rows: readonly (readonly string[])[], width: number | undefined): number {
  if (width === undefined) return Number.MAX_SAFE_INTEGER;
  const others = HEAD.reduce((sum, head, column) => {
    if (column === DEVICE) return sum;
    const widest = rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), head.length);
    return sum + widest + GAP;
  }, INDENT + GAP);
  return width - others;
}

function legTable(set: SetStatus, style: TableStyle): string {
  const { palette, now, width } = style;
  const rowsOf = (brief: boolean): readonly (readonly string[])[] =>
    set.legs.map((leg) => [
      `${String(leg.leg)}${leg.leg === set.read_leg ? '*' : ''}`,
      stateOf(leg),
      printable(leg.device),
      String(leg.sector),
      errors(leg),
      lastError(leg, now, brief),
    ]);
  const brief = deviceWidth(rowsOf(false), width) < SHORTEST_DEVICE;
  const rows = rowsOf(brief);
  const device = Math.max(deviceWidth(rows, width), SHORTEST_DEVICE);
  return plainTable(
    HEAD.map(palette.dim),
    set.legs.map((leg, index) =>
      (rows[index] ?? []).map((text, column) => {
        if (column === STATE) return paintOf(palette, leg.state)(text);
        if (column === DEVICE) return shorten(text, device);
        if (column === ERRORS && text !== '-') return palette.red(text);
        return text;
      }),
    ),
    INDENT,
  );
}

export function progressBar(done: number, total: number, width = BAR): string {
  const filled = total === 0 ? width : Math.floor((done * width) / total);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

function syncLine({ sync, dirty, in_sync }: SetStatus, { palette }: TableStyle): string {
  const scrub = sync.action === 'check' || sync.action === 'repair';
  const regions = `${String(sync.done)}/${String(sync.total)} sync regions ${scrub ? 'compared' : 'in sync'}`;
  const failed = sync.failed > 0 ? `, ${palette.red(`${String(sync.failed)} could not be copied`)}` : '';
  if (sync.action === 'idle' && in_sync === sync.total) {
    const left = dirty > 0 ? `, ${String(dirty)} dirty` : '';
    return `${regions}${left}${failed}`;
  }
  const percent = sync.total === 0 ? 100 : Math.floor((sync.done * 100) / sync.total);
  const running = sync.action !== 'idle' && sync.action !== 'frozen';
  const pace = running
    ? `, ${humanSize(sync.speed)}/s, ${sync.eta >= 0 ? `${formatDuration(sync.eta)} left` : 'time left unknown'}`
    : '';
  const hint = sync.action === 'frozen' ? ', paused: dmiofs resume lets it go on' : '';
  const bar = palette.blue(progressBar(sync.done, sync.total));
  return `${palette.bold(sync.action)} ${bar} ${String(percent)} %${pace}, ${regions}${failed}${hint}`;
}

function setLines(set: SetStatus, style: TableStyle): string {
  const { palette } = style;
  const flags = [
    ...(set.read_only ? ['read-only'] : []),
    ...(set.sync.paused && set.sync.action !== 'frozen' ? [palette.yellow('sync actions paused')] : []),
    ...(set.log === 'failed' ? [palette.red('log failed')] : []),
    ...(set.log === 'none' ? [palette.yellow('no log')] : []),
    ...(set.mismatches > 0
      ? [palette.red(`legs differ in ${String(set.mismatches)} range${set.mismatches === 1 ? '' : 's'}`)]
      : []),
    ...(set.late_ios > 0 ? [palette.yellow(`${String(set.late_ios)} late I/O`)] : []),
  ];
  const head = [
    `${palette.bold(printable(set.name))}: ${paintOf(palette, set.state)(set.state)}`,
    humanSize(set.size),
    `health ${set.health}`,
    ...flags,
  ].join(', ');
  return `  ${head}\n  ${syncLine(set, style)}\n${legTable(set, style)}`;
}

export function mountLines(mount: MountStatus, style: TableStyle): string {
  const { palette } = style;
  const about = `pid ${String(mount.pid)}, ${printable(mount.config)}, ${mount.engine}`;
  const head = `${palette.bold(printable(mount.mountpoint))}: ${paintOf(palette, mount.state)(mount.state)} ${palette.dim(`(${about})`)}`;
  return [head, ...mount.sets.map((set) => setLines(set, style))].join('\n');
}
