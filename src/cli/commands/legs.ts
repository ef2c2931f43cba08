/** The commands that change a set's legs. Checked here first, so that a refusal comes with its reason; the daemon checks again. */
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { ConfigLegs } from '../../config/config-legs.js';
import { DmiofsError } from '../../errors.js';
import type { LegChange, RunningLegs } from '../../mirror/legs-keeper.js';
import type { SetStatus } from '../../mirror/status.js';
import { native } from '../../native/binding.js';
import { isNativeError } from '../../native/error.js';
import { type Command, defineCommand } from '../command.js';
import { findSet, legOf, statusOf } from '../mounted.js';
import { fileOption, legOption, sendVerb } from './control.js';

interface Mounted {
  readonly set: SetStatus;
  readonly keeper: ConfigLegs;
}

async function mountedSet(file: string): Promise<Mounted> {
  const binding = native();
  const place = findSet(file);
  const { config, sets } = await statusOf(binding, place);
  const set = sets[0];
  if (set === undefined) throw new DmiofsError('ERR_DMIOFS_NOT_MOUNTED', `${file} is no set's file`);
  const probeDevice = (path: string) => binding.probeDevice(path);
  return { set, keeper: new ConfigLegs({ file: config, mountpoint: place.mountpoint, probeDevice }) };
}

function running(set: SetStatus): RunningLegs {
  const replacementOf = (leg: number) => set.legs.find(({ replaces }) => replaces === leg);
  return {
    count: set.size / 512,
    legs: set.legs
      .filter(({ replaces }) => replaces === null)
      .map(({ device, sector, leg }) => ({ device, sector, replacement: replacementOf(leg) })),
  };
}

/** Index among the legs that are no replacements, as in the config. */
const defined = (set: SetStatus, leg: number): number =>
  set.legs.slice(0, leg).filter(({ replaces }) => replaces === null).length;

function dryRun({ set, keeper }: Mounted, change: LegChange): void {
  try {
    keeper.prepare(set.name, running(set), change).abandon();
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (!isNativeError(cause) || cause.code !== 'ENOENT' || !('device' in change)) throw error;
    const { device } = change;
    throw new DmiofsError(
      'ERR_DMIOFS_USAGE',
      `there is no ${device}; an image file is made first, as large as the set: truncate -s ${String(set.size)} ${device}`,
      { cause },
    );
  }
}

function sectorOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^(0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new DmiofsError('ERR_DMIOFS_USAGE', `--sector is a number of sectors, not ${JSON.stringify(text)}`);
}

const verbPlace = (device: string, sector: number): string =>
  sector === 0 ? device : `sector=${String(sector)} ${device}`;

const deviceOption = (yargs: Argv): Argv =>
  yargs
    .positional('device', { type: 'string', demandOption: true, describe: 'block device or image file' })
    .option('sector', { type: 'string', describe: 'start sector of the I/O region; default: 0' });

interface DeviceArgs {
  readonly file: string;
  readonly device: string;
  readonly sector: string | undefined;
}

export const legCommands: readonly Command[] = [
  defineCommand<DeviceArgs>({
    command: 'add <file> <device>',
    describe: 'a leg more, which everything is copied to; the config follows',
    builder: (yargs) => deviceOption(fileOption(yargs)),
    handler: async (args) => {
      const [device, sector] = [resolve(args.device), sectorOf(args.sector)];
      dryRun(await mountedSet(args.file), { kind: 'add', device, sector });
      await sendVerb(args.file, `add ${verbPlace(device, sector)}`);
    },
  }),
  defineCommand<{ file: string; leg: string }>({
    command: 'remove <file> <leg>',
    describe: 'a leg goes for good, the config follows; of a replacement: it is given up',
    builder: (yargs) => legOption(fileOption(yargs)),
    handler: async ({ file, leg }) => {
      const mounted = await mountedSet(file);
      const { leg: index, replaces } = legOf(mounted.set, leg);
      dryRun(
        mounted,
        replaces === null
          ? { kind: 'remove', leg: defined(mounted.set, index) }
          : { kind: 'give-up', leg: defined(mounted.set, replaces) },
      );
      await sendVerb(file, `remove ${leg}`);
    },
  }),
  defineCommand<DeviceArgs & { leg: string }>({
    command: 'replace <file> <leg> <device>',
    describe: "another device in a leg's place; the old one serves until all has been copied, where it can",
    builder: (yargs) => deviceOption(legOption(fileOption(yargs))),
    handler: async (args) => {
      const [device, sector] = [resolve(args.device), sectorOf(args.sector)];
      const mounted = await mountedSet(args.file);
      const { leg, replaces, state } = legOf(mounted.set, args.leg);
      const coming = mounted.set.legs.find((other) => other.replaces === leg);
      if (replaces !== null || coming !== undefined) {
        throw new DmiofsError(
          'ERR_DMIOFS_USAGE',
          coming === undefined
            ? `leg ${args.leg} is a replacement itself: dmiofs remove gives it up`
            : `leg ${args.leg} is being replaced already: dmiofs remove ${args.file} ${String(coming.leg)} gives that up`,
        );
      }
      const kind = state === 'in-sync' ? 'replace' : 'place';
      dryRun(mounted, { kind, leg: defined(mounted.set, leg), device, sector });
      await sendVerb(args.file, `replace ${args.leg} ${verbPlace(device, sector)}`);
    },
  }),
];
