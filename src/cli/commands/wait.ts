import { DmiofsError } from '../../errors.js';
import { native } from '../../native/binding.js';
import { parseDuration } from '../../util/duration.js';
import { sleep } from '../../util/timeout.js';
import { defineCommand } from '../command.js';
import { findMounted, statusOf } from '../mounted.js';

const POLL_MS = 100;

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
    for (;;) {
      const { sets } = await statusOf(binding, place);
      const busy = sets.find(({ sync }) => sync.action !== 'idle');
      if (busy === undefined) return;
      if (performance.now() >= end)
        throw new DmiofsError('ERR_DMIOFS_TIMEOUT', `${busy.name}: ${busy.sync.action} still runs`);
      await sleep(POLL_MS);
    }
  },
});
