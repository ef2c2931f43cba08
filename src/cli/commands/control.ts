/** The commands that write a control verb to a set's file: each is what setfattr does. */
import type { Argv } from 'yargs';
import { DmiofsError } from '../../errors.js';
import { CONTROL_ATTRIBUTE } from '../../fuse/attributes.js';
import { native } from '../../native/binding.js';
import { type Command, defineCommand } from '../command.js';
import { findMounted } from '../mounted.js';
import { join } from 'node:path';

/** Sends one verb; a refusal's reason is in the daemon's log, its errno here. */
export async function sendVerb(file: string, verb: string): Promise<void> {
  const place = findMounted(file);
  if (place.set === undefined)
    throw new DmiofsError('ERR_DMIOFS_USAGE', `${file} is a mountpoint: name a set's file under it`);
  try {
    await native().setXattr(join(place.mountpoint, place.set), CONTROL_ATTRIBUTE, Buffer.from(verb));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why: Readonly<Record<string, string>> = {
      EINVAL: "it was refused as wrong: the daemon's log has the reason",
      EBUSY:
        'it is the last in-sync leg, or its device is in use or has not yet answered a write that timed out',
      EALREADY: 'the leg is out, or being replaced, already',
      EAGAIN: 'others are being copied from it: dmiofs wait, then try again',
      ENOSPC: 'the device is smaller than the set',
      E2BIG: 'a set has at most 64 legs',
      ENXIO: 'no in-sync leg is left to copy from',
      EEXIST: 'the leg is in use already',
      ENODEV: 'its device cannot be opened',
      ENOENT: 'its device is not there',
      EPERM: "only the file's owner and root may control a set",
      EIO: "it could not be recorded in the set's log",
      EROFS: 'the set is read-only',
    };
    const scrubbing = verb === 'check' || verb === 'repair';
    const text =
      scrubbing && code === 'EBUSY'
        ? 'another sync action runs: dmiofs wait, then try again'
        : (why[code] ?? code);
    throw new DmiofsError('ERR_DMIOFS_CONTROL', `${verb} ${file}: ${text}`, { cause: error });
  }
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
    handler: ({ file: path, leg }) => sendVerb(path, `fail ${leg}`),
  }),
  defineCommand<{ file: string; leg: string }>({
    command: 're-add <file> <leg>',
    describe: 'take a failed or missing leg back; copies only what changed meanwhile',
    builder: fileAndLeg,
    handler: ({ file: path, leg }) => sendVerb(path, `re-add ${leg}`),
  }),
  defineCommand<{ file: string; leg: string | undefined }>({
    command: 'clear <file> [leg]',
    describe: 'clear error bits and counters',
    builder: (yargs) =>
      fileOption(yargs).positional('leg', { type: 'string', describe: 'index of the leg; default: all' }),
    handler: ({ file: path, leg }) => sendVerb(path, leg === undefined ? 'clear' : `clear ${leg}`),
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
  defineCommand<{ file: string; min: string | undefined; max: string | undefined }>({
    command: 'speed <file>',
    describe: 'limits of the sync action, bytes a second',
    builder: (yargs) =>
      fileOption(yargs)
        .option('min', { type: 'string', describe: 'rate that it keeps beside other I/O, such as 4MiB' })
        .option('max', { type: 'string', describe: 'rate that it never exceeds; 0: no limit' }),
    handler: ({ file: path, min, max }) =>
      sendVerb(
        path,
        [
          'speed',
          ...(min === undefined ? [] : [`min=${min}`]),
          ...(max === undefined ? [] : [`max=${max}`]),
        ].join(' '),
      ),
  }),
];
