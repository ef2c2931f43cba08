import Table from 'cli-table3';
import { messageOf } from '../../errors.js';
import type { LegStatus, MountStatus, SetStatus } from '../../mirror/status.js';
import { native } from '../../native/binding.js';
import { dmiofsMounts } from '../../util/mountinfo.js';
import { humanSize } from '../../util/size.js';
import { defineCommand } from '../command.js';
import { EXIT, ExitError } from '../exit.js';
import { findMounted, statusOf } from '../mounted.js';

type Paint = (text: string) => string;
const plain: Paint = (text) => text;
const colour =
  (code: number): Paint =>
  (text) =>
    process.stdout.isTTY ? `\u001b[${String(code)}m${text}\u001b[0m` : text;
const [red, yellow, green] = [colour(31), colour(33), colour(32)];

function paintOf(state: SetStatus['state'] | LegStatus['state']): Paint {
  switch (state) {
    case 'complete':
    case 'in-sync':
      return green;
    case 'degraded':
    case 'rebuilding':
      return yellow;
    case 'failed':
    case 'missing':
      return red;
    default:
      state satisfies never;
      return plain;
  }
}

function lastError(leg: LegStatus): string {
  if (leg.last_error === null) return '';
  const { errno, sector, time } = leg.last_error;
  return `${errno} at sector ${String(sector)}, ${new Date(time * 1000).toISOString().replace('.000Z', 'Z')}`;
}

function syncLine({ sync }: SetStatus): string {
  const percent = sync.total === 0 ? 100 : Math.floor((sync.done * 100) / sync.total);
  if (sync.action === 'idle' && sync.done === sync.total)
    return `in sync ${String(sync.done)}/${String(sync.total)}`;
  const filled = Math.floor(percent / 5);
  const eta = sync.eta > 0 ? `, ${String(sync.eta)} s left` : '';
  const bar = `[${'='.repeat(filled)}${' '.repeat(20 - filled)}]`;
  return `${sync.action} ${bar} ${String(percent)} % (${String(sync.done)}/${String(sync.total)}), ${humanSize(sync.speed)}/s${eta}`;
}

function setLines(set: SetStatus): string {
  const flags = [
    ...(set.read_only ? ['read-only'] : []),
    ...(set.log === 'failed' ? [red('log failed')] : []),
    ...(set.late_ios > 0 ? [yellow(`${String(set.late_ios)} late I/O`)] : []),
  ];
  const head = `  ${set.name}: ${paintOf(set.state)(set.state)}, ${humanSize(set.size)}, health ${set.health}, ${syncLine(set)}`;
  const table = new Table({
    head: ['leg', 'device', 'sector', 'state', 'read', 'write', 'flush', 'last error'],
    style: { head: [], border: [] },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '   ',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: ' ',
    },
  });
  for (const leg of set.legs) {
    table.push([
      `${String(leg.leg)}${leg.leg === set.read_leg ? '*' : ''}`,
      leg.device,
      leg.sector,
      paintOf(leg.state)(leg.state),
      leg.read_errors,
      leg.write_errors,
      leg.flush_errors,
      lastError(leg),
    ]);
  }
  return `${[head, ...flags].join(', ')}\n${table.toString()}`;
}

function mountLines(mount: MountStatus): string {
  const head = `${mount.mountpoint}: ${paintOf(mount.state)(mount.state)} (pid ${String(mount.pid)}, ${mount.config}, ${mount.engine})`;
  return [head, ...mount.sets.map(setLines)].join('\n');
}

export const statusCommand = defineCommand<{ path: string | undefined; json: boolean }>({
  command: 'status [path]',
  describe:
    'state of the sets of a mount, of a file, or of all mounts; exit 0 complete, 1 degraded, 2 failed',
  builder: (yargs) =>
    yargs
      .positional('path', {
        type: 'string',
        describe: 'a mountpoint, or a file under one; default: all mounts',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON (config/status.schema.json)',
      }),
  handler: async ({ path, json }) => {
    const binding = native();
    const places =
      path === undefined
        ? dmiofsMounts().map(({ mountpoint }) => ({ mountpoint, set: undefined }))
        : [findMounted(path)];
    const found: MountStatus[] = [];
    let worst: number = EXIT.ok;
    for (const place of places) {
      try {
        const status = await statusOf(binding, place);
        found.push(status);
        worst = Math.max(
          worst,
          status.state === 'complete' ? EXIT.ok : status.state === 'degraded' ? EXIT.usage : EXIT.system,
        );
      } catch (error) {
        if (path !== undefined) throw error;
        process.stderr.write(`dmiofs: ${messageOf(error)}\n`);
        worst = EXIT.system;
      }
    }
    if (json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    else if (found.length > 0) process.stdout.write(`${found.map(mountLines).join('\n\n')}\n`);
    else if (worst === EXIT.ok) process.stdout.write('nothing of dmiofs is mounted\n');
    if (worst !== EXIT.ok) throw new ExitError(worst);
  },
});
