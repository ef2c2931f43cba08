import { initSets } from '../../config/init.js';
import { loadConfig } from '../../config/load.js';
import { resolveConfig } from '../../config/resolve.js';
import { native } from '../../native/binding.js';
import { defineCommand } from '../command.js';

export const initCommand = defineCommand<{ config: string; assumeClean: boolean }>({
  command: 'init <config>',
  describe: 'create missing image files and the logs of new sets',
  builder: (yargs) =>
    yargs
      .positional('config', { type: 'string', demandOption: true, describe: 'config file (YAML)' })
      .option('assume-clean', {
        type: 'boolean',
        default: false,
        describe: 'existing legs are equal already: nothing is copied at the first start',
      }),
  handler: async ({ config: file, assumeClean }) => {
    const binding = native();
    const config = resolveConfig(loadConfig(file), {
      probeDevice: (path) => binding.probeDevice(path),
      creating: true,
    });
    const reports = await initSets(config, {
      assumeClean,
      createLog: (options) => binding.createLog(options),
    });
    for (const { set, createdImages, log, inSync } of reports) {
      for (const image of createdImages) process.stdout.write(`${set}: created ${image}\n`);
      switch (log) {
        case 'created':
          process.stdout.write(
            `${set}: created its log; ${inSync ? 'in sync' : 'the first start copies leg 0 to the others'}\n`,
          );
          break;
        case 'adopted':
          process.stdout.write(`${set}: took over the log of a kernel mirror\n`);
          break;
        case 'kept':
          process.stdout.write(`${set}: is there already: its log was left as it is\n`);
          break;
        case 'in-use':
          process.stdout.write(`${set}: is in use: its log was left as it is\n`);
          break;
        default:
          log satisfies never;
      }
    }
  },
});
