/** The commands that write a control verb to a set's file: each is what setfattr does. */
import { join } from 'node:path';
import type { Argv } from 'yargs';
import { DmiofsError } from '../../errors.js';
import { CONTROL_ATTRIBUTE } from '../../fuse/attributes.js';
import type { SetStatus } from '../../mirror/status.js';
import { native } from '../../native/binding.js';
import { formatSize, parseSize } from '../../util/size.js';
import { type Command, defineCommand } from '../command.js';
import { findSet, legOf, statusOf } from '../mounted.js';

const REASONS: Readonly<Record<string, string>> = {
  EINVAL: "it was refused as wrong: the daemon's log (in the config's state_dir) has the reason",
  EBUSY: 'its device is in use, or has not yet answered a write that timed out: try again when it has',
  EALREADY: 'the leg is being replaced already',
  EAGAIN: 'others are being copied from it: dmiofs wait, then try again',
  ENOSPC: 'the device is smaller than the set',
  E2BIG: 'a set has at most 64 legs',
  ENXIO: 'no in-sync leg is left to copy from',
  EEXIST: 'the leg is in use already',
  ENODEV: 'its device cannot be opened',
  ENOENT: 'its device is not there',
  EACCES: "only the file's owner and root may control a set",
  EPERM: "only the file's owner and root may control a set",
  EIO: "it could not be recorded in the set's log",
  EROFS: 'the set is read-only',
};
const LAST_LEG = 'it is the last in-sync leg: without it nothing could be read';
const SYNCING = 'another sync action runs: dmiofs wait, then try again';
/** What an errno means for some verbs. */
const SPECIAL: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  EBUSY: { fail: LAST_LEG, remove: LAST_LEG, check: SYNCING, repair: SYNCING },
  EALREADY: { fail: 'the leg is out already' },
};

/** Sends one verb; a refusal's reason is in the daemon's log, its errno here. */
export async function sendVerb(file: string, verb: string): Promise<void> {
  const place = findSet(file);
  try {
    await native().setXattr(join(place.mountpoint, place.set), CONTROL_ATTRIBUTE, Buffer.from(verb));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    // Of a file or a daemon that is not there: whoever looks for them says so.
    if (['ENOENT', 'ENOTCONN', 'ECONNABORTED'].includes(code)) await statusOf(native(), place);
    const [name = ''] = verb.split(' ');
    const text = SPECIAL[code]?.[name] ?? REASONS[code] ?? code;
    throw new DmiofsError('ERR_DMIOFS_CONTROL', `${file}: ${verb}: ${text}`, { cause: error });
  }
}

/** A mistake is told from the set's status: the daemon says its errno only. */
async function setOf(file: string): Promise<SetStatus> {
  const { sets } = await statusOf(native(), findSet(file)).catch((error: unknown) => {
    // Who may not read it is not its owner either.
    const denied = error instanceof Error && 'code' in error && error.code === 'EACCES';
    throw denied ? new DmiofsError('ERR_DMIOFS_CONTROL', `${file}: ${REASONS['EPERM'] ?? ''}`) : error;
  });
  const [set] = sets;
  if (set === undefined) throw new DmiofsError('ERR_DMIOFS_NOT_MOUNTED', `${file} is no set's file`);
  return set;
}

async function sendLegVerb(verb: string, file: string, leg: string): Promise<void> {
  await sendVerb(file, `${verb} ${String(legOf(await setOf(file), leg).leg)}`);
}

function rateOf(option: string, text: string): number {
  const rate = parseSize(text);
  if (rate !== undefined) return rate;
  throw new DmiofsError(
    'ERR_DMIOFS_USAGE',
    `--${option}: ${JSON.stringify(text)} is no rate: bytes a second are wanted, such as 4MiB`,
  );
}

interface SpeedArgs {
  readonly file: string;
  readonly min: string | undefined;
  readonly max: string | undefined;
}

async function sendSpeed({ file, min, max }: SpeedArgs): Promise<void> {
  if (min === undefined && max === undefined)
    throw new DmiofsError('ERR_DMIOFS_USAGE', 'give --min RATE, --max RATE or both');
  const least = min === undefined ? undefined : rateOf('min', min);
  const most = max === undefined ? undefined : rateOf('max', max);
  if (least !== undefined && most !== undefined && most !== 0 && least > most) {
    throw new DmiofsError(
      'ERR_DMIOFS_USAGE',
      `the minimum, ${formatSize(least)}, is above the maximum, ${formatSize(most)}`,
    );
  }
  const given = [
    ...(least === undefined ? [] : [`min=${String(least)}`]),
    ...(most === undefined ? [] : [`max=${String(most)}`]),
  ];
  await sendVerb(file, ['speed', ...given].join(' '));
}

export const fileOption = (yargs: Argv): Argv<{ file: string }> =>
  yargs.positional('file', {
    type: 'string',
    demandOption: true,
    describe: "a set's file under a mountpoint",
  });
export const legOption = (yargs: Argv): Argv =>
  yargs.positional('leg', { type: 'string', demandOption: true, describe: 'index of the leg, from 0' });
const fileAndLeg = (yargs: Argv): Argv => legOption(fileOption(yargs));

export const controlCommands: readonly Command[] = [
  defineCommand<{ file: string; leg: string }>({
    command: 'fail <file> <leg>',
    describe: 'take a leg out, as if its device had failed',
    builder: fileAndLeg,
    handler: ({ file: path, leg }) => sendLegVerb('fail', path, leg),
  }),
  defineCommand<{ file: string; leg: string }>({
    command: 're-add <file> <leg>',
    describe: 'take a failed or missing leg back; copies only what changed meanwhile',
    builder: fileAndLeg,
    handler: ({ file: path, leg }) => sendLegVerb('re-add', path, leg),
  }),
  defineCommand<{ file: string; leg: string | undefined }>({
    command: 'clear <file> [leg]',
    describe: 'clear error bits and counters',
    builder: (yargs) =>
      fileOption(yargs).positional('leg', { type: 'string', describe: 'index of the leg; default: all' }),
    handler: ({ file: path, leg }) =>
      leg === undefined ? sendVerb(path, 'clear') : sendLegVerb('clear', path, leg),
  }),
  defineCommand<{ file: string }>({
    command: 'pause <file>',
    describe: 'hold the running sync action',
    builder: fileOption,
    handler: ({ file: path }) => sendVerb(path, 'pause'),
  }),
  defineCommand<{ file: string }>({
    command: 'resume <file>',
    describe: 'let the sync action go on; what could not be copied is tried again',
    builder: fileOption,
    handler: ({ file: path }) => sendVerb(path, 'resume'),
  }),
  defineCommand<SpeedArgs>({
    command: 'speed <file>',
    describe: 'limits of the sync action, bytes a second',
    builder: (yargs) =>
      fileOption(yargs)
        .option('min', { type: 'string', describe: 'rate that it keeps beside other I/O, such as 4MiB' })
        .option('max', { type: 'string', describe: 'rate that it never exceeds; 0: no limit' }),
    handler: sendSpeed,
  }),
];
