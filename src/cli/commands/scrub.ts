import { join } from 'node:path';
import { DmiofsError, messageOf } from '../../errors.js';
import { SCRUB_JSON_ATTRIBUTE } from '../../fuse/attributes.js';
import type { ScrubPage, ScrubRange, ScrubReport } from '../../mirror/scrub-schema.js';
import { native } from '../../native/binding.js';
import { humanSize } from '../../util/size.js';
import { sleep, within } from '../../util/timeout.js';
import { defineCommand } from '../command.js';
import { ExitError } from '../exit.js';
import { findMounted, statusOf } from '../mounted.js';
import { fileOption, sendVerb } from './control.js';

const POLL_MS = 200;
const ANSWER_MS = 30_000;

/** As diff(1) and cmp(1). */
const SCRUB_EXIT = { differ: 1, trouble: 2 } as const;

interface ScrubArgs {
  readonly file: string;
  readonly repair: boolean;
  readonly stop: boolean;
  readonly json: boolean;
}

async function readPage(file: string, first: number): Promise<ScrubPage> {
  const name = first === 0 ? SCRUB_JSON_ATTRIBUTE : `${SCRUB_JSON_ATTRIBUTE}.${String(first)}`;
  const value = await within(ANSWER_MS, `asking ${file}`, native().getXattr(file, name));
  return JSON.parse(value.toString('utf8')) as ScrubPage;
}

async function readReport(file: string): Promise<ScrubReport> {
  const { next: second, ...report } = await readPage(file, 0);
  const ranges: ScrubRange[] = [...report.ranges];
  for (let next = second; next !== null; ) {
    const page = await readPage(file, next);
    if (page.run !== report.run) throw another();
    ranges.push(...page.ranges);
    next = page.next;
  }
  return { ...report, ranges };
}

const nothing = (): void => {
  // Nobody looks at it.
};

const another = (): DmiofsError =>
  new DmiofsError('ERR_DMIOFS_CONTROL', 'another scrub has begun, and what this one found is gone');

/** A bar on a terminal's stderr. */
async function makeBar({
  total,
  action,
}: ScrubPage): Promise<{ update: (done: number, action: string, text: string) => void; stop: () => void }> {
  if (!process.stderr.isTTY) return { update: nothing, stop: nothing };
  const { SingleBar } = (await import('cli-progress')).default;
  const bar = new SingleBar({
    format: '{action} [{bar}] {percentage} %, {text}',
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(total, 0, { action, text: '' });
  return {
    update: (done, action, text) => {
      bar.update(done, { action, text });
    },
    stop: () => {
      bar.stop();
    },
  };
}

/** Follows the scrub to its end. */
async function follow(file: string, place: { mountpoint: string; set: string | undefined }): Promise<void> {
  const first = await readPage(file, 0);
  const bar = await makeBar(first);
  try {
    let told = false;
    for (;;) {
      const page = await readPage(file, 0);
      if (page.run !== first.run) throw another();
      if (page.state !== 'running') return;
      const sync = (await statusOf(native(), place)).sets[0]?.sync;
      if (sync?.paused === true && !told) {
        told = true;
        process.stderr.write('dmiofs: sync actions are paused: dmiofs resume lets it go on\n');
      }
      const eta = (sync?.eta ?? -1) > 0 ? `, ${String(sync?.eta)} s left` : '';
      bar.update(
        page.compared + page.skipped + page.failed,
        sync?.action ?? '',
        `${humanSize(sync?.speed ?? 0)}/s${eta}, ${counted(page.mismatches, 'range')} found to differ`,
      );
      await sleep(POLL_MS);
    }
  } finally {
    bar.stop();
  }
}

function rangeLine({ sector, count, by, repaired, legs }: ScrubRange): string {
  const held = legs.map(
    ({ leg, hash, right }) => `leg ${String(leg)} ${hash}${right || by === 'nobody' ? '' : ' (differs)'}`,
  );
  const says = by === 'nobody' ? 'nobody says what is right' : `by ${by}`;
  return `sectors ${String(sector)}+${String(count)}: ${held.join(', ')}; ${says}${repaired ? '; repaired' : ''}`;
}

const counted = (count: number, thing: string): string =>
  `${String(count)} ${thing}${count === 1 ? '' : 's'}`;

function summary(report: ScrubReport): string {
  const { set, action, mismatches, sectors, repaired, compared, skipped, failed, total, ranges } = report;
  const found =
    mismatches === 0
      ? 'no differences'
      : `${counted(mismatches, 'range')} (${counted(sectors, 'sector')}) ${action === 'repair' ? `differed, ${String(repaired)} repaired` : mismatches === 1 ? 'differs' : 'differ'}`;
  const more = mismatches > ranges.length ? `, the first ${String(ranges.length)} are listed` : '';
  const not = [
    ...(skipped > 0 ? [`${String(skipped)} not in sync or on one leg only`] : []),
    ...(failed > 0 ? [`${String(failed)} not readable`] : []),
  ];
  const of = `${String(compared)} of ${String(total)} sync regions compared${not.length > 0 ? ` (${not.join(', ')})` : ''}`;
  return `${set}: ${found}${more}; ${of}`;
}

async function scrub({ file: path, repair, json }: ScrubArgs): Promise<number> {
  const place = findMounted(path);
  await sendVerb(path, repair ? 'repair' : 'check');
  const file = join(place.mountpoint, place.set ?? '');
  await follow(file, place);
  const report = await readReport(file);
  if (json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else {
    for (const range of report.ranges) process.stdout.write(`${rangeLine(range)}\n`);
    const nothing = report.compared === 0 && report.skipped === report.total && report.state === 'finished';
    process.stdout.write(
      nothing
        ? `${report.set}: nothing to compare: fewer than two legs hold the data\n`
        : `${summary(report)}\n`,
    );
  }
  if (report.state === 'stopped') {
    process.stderr.write('dmiofs: the scrub was ended before everything had been compared\n');
    return SCRUB_EXIT.trouble;
  }
  if (report.mismatches > 0) return SCRUB_EXIT.differ;
  return report.failed > 0 ? SCRUB_EXIT.trouble : 0;
}

export const scrubCommand = defineCommand<ScrubArgs>({
  command: 'scrub <file>',
  describe: 'compare all legs while the file is used; exit 0 no differences, 1 some, 2 trouble',
  builder: (yargs) =>
    fileOption(yargs)
      .option('repair', {
        type: 'boolean',
        default: false,
        describe:
          'make the legs equal where they differ: as more than half of three or more legs have it, else as the primary',
      })
      .option('stop', {
        type: 'boolean',
        default: false,
        describe: 'end a scrub that runs; one goes on in the daemon when this command is interrupted',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON (config/scrub.schema.json)',
      }),
  handler: async (args) => {
    if (args.stop) {
      if (args.repair || args.json)
        throw new DmiofsError('ERR_DMIOFS_USAGE', '--stop goes with no other option');
      await sendVerb(args.file, 'idle');
      return;
    }
    let code: number;
    try {
      code = await scrub(args);
    } catch (error) {
      // 1 means that legs differ.
      process.stderr.write(`dmiofs: ${messageOf(error)}\n`);
      code = SCRUB_EXIT.trouble;
    }
    if (code !== 0) throw new ExitError(code);
  },
});
