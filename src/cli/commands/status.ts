import { DmiofsError, messageOf } from '../../errors.js';
import type { MountStatus, SetStatus } from '../../mirror/status.js';
import type { SyncMapText } from '../../mirror/sync-map.js';
import { native } from '../../native/binding.js';
import { dmiofsMounts } from '../../util/mountinfo.js';
import { printable } from '../../util/printable.js';
import { sleep } from '../../util/timeout.js';
import { writeAtomically } from '../../util/write-atomically.js';
import { defineCommand } from '../command.js';
import { EXIT, ExitError } from '../exit.js';
import { findMounted, mapOf, type MountedPlace, statusOf } from '../mounted.js';
import { oneQuestionAtATime, type XattrReader } from '../one-question.js';
import { paletteFor, type Palette } from '../status/paint.js';

const WATCH_MS = 1000;

interface StatusArgs {
  readonly path: string | undefined;
  readonly json: boolean;
  readonly watch: boolean;
  readonly map: boolean;
  readonly svg: string | undefined;
}

interface Found {
  readonly mount: MountStatus;
  /** By set; only when they were asked for. */
  readonly maps: readonly SyncMapText[];
}

interface Looked {
  readonly found: readonly Found[];
  /** Of the mounts that did not answer, for people. */
  readonly troubles: readonly string[];
  readonly exitCode: number;
}

const EXIT_OF: Readonly<Record<SetStatus['state'], number>> = {
  complete: EXIT.ok,
  degraded: EXIT.usage,
  failed: EXIT.system,
};

/** A mount that is just coming or going answers as the folder below it would. */
function passing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['ENODATA', 'ENOTSUP', 'ENOENT'].includes(code);
}

async function look(reader: XattrReader, { path, map, svg }: StatusArgs): Promise<Looked> {
  const places: readonly MountedPlace[] =
    path === undefined
      ? [...new Set(dmiofsMounts().map(({ mountpoint }) => mountpoint))].map((mountpoint) => ({
          mountpoint,
          set: undefined,
        }))
      : [findMounted(path)];
  const found: Found[] = [];
  const troubles: string[] = [];
  let exitCode: number = EXIT.ok;
  const answers = await Promise.allSettled(
    places.map(async (place): Promise<Found> => {
      const mount = await statusOf(reader, place);
      const wanted = map || svg !== undefined ? mount.sets : [];
      const maps = await Promise.all(wanted.map(({ name }) => mapOf(reader, place.mountpoint, name)));
      return { mount, maps };
    }),
  );
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') {
      found.push(answer.value);
      exitCode = Math.max(exitCode, EXIT_OF[answer.value.mount.state]);
      continue;
    }
    if (path !== undefined) throw answer.reason;
    const mountpoint = printable(places[index]?.mountpoint ?? '');
    if (passing(answer.reason)) troubles.push(`${mountpoint}: is starting or ending`);
    else {
      troubles.push(messageOf(answer.reason));
      exitCode = EXIT.system;
    }
  }
  return { found, troubles, exitCode };
}

/** What people see. The modules for it are loaded here: --json does without them. */
async function text(
  { found, troubles }: Looked,
  { map }: StatusArgs,
  palette: Palette,
  width: number | undefined,
): Promise<string> {
  const { mountLines } = await import('../status/table.js');
  const now = Date.now() / 1000;
  const blocks = found.map(({ mount }) => mountLines(mount, { width, palette, now }));
  if (map) {
    const { mapLines } = await import('../status/map.js');
    for (const [index, { mount, maps }] of found.entries()) {
      const pictures = mount.sets.flatMap((set, at) => {
        const cells = maps[at];
        return cells === undefined ? [] : [mapLines(set, cells, width, palette)];
      });
      blocks[index] = [blocks[index], ...pictures].join('\n\n');
    }
  }
  if (found.length === 0 && troubles.length === 0) blocks.push('nothing of dmiofs is mounted');
  return `${blocks.join('\n\n')}\n`;
}

async function writeSvg(file: string, found: readonly Found[]): Promise<void> {
  const { statusSvg } = await import('../status/svg.js');
  try {
    writeAtomically(file, statusSvg(found, new Date()));
  } catch (error) {
    throw new DmiofsError('ERR_DMIOFS_USAGE', `--svg: ${messageOf(error)}`, { cause: error });
  }
}

async function show(looked: Looked, args: StatusArgs): Promise<void> {
  const { stdout } = process;
  if (args.svg !== undefined) await writeSvg(args.svg, looked.found);
  if (args.json) {
    const mounts = looked.found.map(({ mount }) => mount);
    stdout.write(`${JSON.stringify(mounts, null, args.watch ? 0 : 2)}\n`);
  } else {
    const palette = paletteFor(stdout.isTTY, process.env);
    const output = await text(looked, args, palette, stdout.isTTY ? stdout.columns : undefined);
    // Redrawn in place: each line is cleared to its end, and what is left below.
    const redraw = args.watch && stdout.isTTY;
    stdout.write(redraw ? `\u001b[H${output.replaceAll('\n', '\u001b[K\n')}\u001b[J` : output);
    if (args.watch && !stdout.isTTY) stdout.write('\n');
  }
  for (const trouble of looked.troubles) process.stderr.write(`dmiofs: ${trouble}\n`);
}

export const statusCommand = defineCommand<StatusArgs>({
  command: 'status [path]',
  describe:
    'state of the sets of a mount, of a file, or of all mounts; exit 0 complete, 1 degraded, 2 failed or not to be told',
  builder: (yargs) =>
    yargs
      .positional('path', {
        type: 'string',
        describe: 'a mountpoint, or a file under one; default: all mounts',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON (config/status.schema.json); with --watch a line each time',
      })
      .option('watch', {
        alias: 'w',
        type: 'boolean',
        default: false,
        describe: 'show it again every second, until it is interrupted',
      })
      .option('map', {
        type: 'boolean',
        default: false,
        describe: 'also a map of the sync regions by state',
      })
      .option('svg', { type: 'string', describe: 'write that map as a picture to this file' }),
  handler: async (args) => {
    if (args.map && args.json) {
      const instead = 'user.dmio.map of a file has the map as JSON';
      throw new DmiofsError('ERR_DMIOFS_USAGE', `--map is for people, --json for programs: ${instead}`);
    }
    const reader = oneQuestionAtATime(native());
    if (!args.watch) {
      const looked = await look(reader, args);
      await show(looked, args);
      if (looked.exitCode !== EXIT.ok) throw new ExitError(looked.exitCode);
      return;
    }
    const ended = new Promise<'ended'>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.on(signal, () => {
          resolve('ended');
        });
      process.stdout.on('error', () => {
        resolve('ended');
      });
    });
    if (process.stdout.isTTY) process.stdout.write('\u001b[2J');
    let looked = await look(reader, args);
    for (;;) {
      await show(looked, args);
      if ((await Promise.race([ended, sleep(WATCH_MS)])) === 'ended') return;
      // What was there may go, and come again.
      looked = await look(reader, args).catch((error: unknown) => ({
        found: [],
        troubles: [messageOf(error)],
        exitCode: EXIT.system,
      }));
    }
  },
});
