import { DmiofsError } from '../../errors.js';
import type { SetStatus } from '../../mirror/status.js';
import { native } from '../../native/binding.js';
import { parseDuration } from '../../util/duration.js';
import { printable } from '../../util/printable.js';
import { sleep } from '../../util/timeout.js';
import { defineCommand } from '../command.js';
import { findMounted, statusOf } from '../mounted.js';

const POLL_MS = 100;
/** How long a replacement that is in sync may take to be written to the config. */
const SETTLE_MS = 10_000;

function say(text: string): void {
  process.stderr.write(`dmiofs: ${printable(text)}\n`);
}

const still = ({ action, done, total }: SetStatus['sync']): string =>
  action === 'frozen'
    ? 'still paused'
    : `${action} still runs (${String(done)}/${String(total)} sync regions)`;

/** What a sync action has left behind that has ended. */
function left(name: string, { failed }: SetStatus['sync']): string {
  return failed > 0
    ? `${name}: ${String(failed)} sync regions could not be copied; dmiofs resume tries them again`
    : `${name}: not everything is in sync, and there is no leg to copy to; dmiofs status tells more`;
}

export const waitCommand = defineCommand<{ file: string; timeout: string | undefined }>({
  command: 'wait <file>',
  describe: 'wait until no sync action runs',
  builder: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: "a set's file, or a mountpoint: all its sets",
      })
      .option('timeout', { type: 'string', describe: 'give up after this time, such as 10m' }),
  handler: async ({ file, timeout }) => {
    const limit = timeout === undefined ? Number.POSITIVE_INFINITY : parseDuration(timeout);
    if (limit === undefined)
      throw new DmiofsError(
        'ERR_DMIOFS_USAGE',
        `--timeout ${timeout ?? ''}: a duration such as 30s or 10m is wanted`,
      );
    const binding = native();
    const place = findMounted(file);
    const end = performance.now() + limit;
    let idleSince: number | undefined;
    const told = new Set<string>();
    for (;;) {
      const { sets } = await statusOf(binding, place);
      const busy = sets.find(({ sync }) => sync.action !== 'idle');
      if (busy === undefined) {
        const settling = sets.find(({ legs }) =>
          legs.some(({ replaces, state }) => replaces !== null && state === 'in-sync'),
        );
        if (settling === undefined) {
          for (const { name, sync } of sets.filter(({ in_sync, sync }) => in_sync < sync.total))
            say(left(name, sync));
          return;
        }
        idleSince ??= performance.now();
        if (performance.now() - idleSince > SETTLE_MS) {
          throw new DmiofsError(
            'ERR_DMIOFS_TIMEOUT',
            `${settling.name}: a replacement is in sync, but has not taken its place: the daemon's log says why`,
          );
        }
        await sleep(POLL_MS);
        continue;
      }
      for (const { name, sync } of sets) {
        if (sync.action !== 'frozen' || told.has(name)) continue;
        told.add(name);
        say(`${name}: sync actions are paused: dmiofs resume lets it go on`);
      }
      if (performance.now() >= end)
        throw new DmiofsError(
          'ERR_DMIOFS_TIMEOUT',
          `${busy.name}: ${still(busy.sync)} after ${timeout ?? ''}`,
        );
      await sleep(POLL_MS);
    }
  },
});
