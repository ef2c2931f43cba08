/** `dmiofs table`: the `dmsetup table` line of a kernel mirror over the same legs and log. */
import { readdirSync, readFileSync } from 'node:fs';
import type { CommandModule } from 'yargs';

import { formatDmTable } from '../../mirror/dm-table.js';
import { kernelTable, type TableSet } from '../../mirror/log.js';
import type { LogInspection } from '../../native/binding.js';

/** What the command needs of the rest of the program; main.ts hands it in. */
export interface TableServices {
  /** The sets of a config file, in its order. */
  readonly loadSets: (config: string) => Promise<readonly TableSet[]>;
  readonly inspectLog: (path: string) => Promise<LogInspection>;
}

interface TableArguments {
  config: string | undefined;
  set: string | undefined;
}

/** The loop device that a whole file is attached to, without an offset or a size limit; null: none. */
export function loopOf(file: string, sysBlock = '/sys/block'): string | null {
  for (const name of readdirSync(sysBlock)) {
    if (!name.startsWith('loop')) continue;
    const attribute = (key: string): string => readFileSync(`${sysBlock}/${name}/loop/${key}`, 'utf8').trim();
    try {
      if (
        attribute('backing_file') === file &&
        attribute('offset') === '0' &&
        attribute('sizelimit') === '0'
      ) {
        return `/dev/${name}`;
      }
    } catch {
      // Not attached.
    }
  }
  return null;
}

/** Lines for stdout and remarks for stderr. */
export async function tablesOf(
  sets: readonly TableSet[],
  wanted: string | undefined,
  inspectLog: TableServices['inspectLog'],
): Promise<{ lines: string[]; remarks: string[] }> {
  const chosen = wanted === undefined ? sets : sets.filter((set) => set.name === wanted);
  if (chosen.length === 0) {
    throw new Error(`no set ${wanted ?? ''} in the config; it has ${sets.map((set) => set.name).join(', ')}`);
  }
  const lines: string[] = [];
  const remarks: string[] = [];
  for (const set of chosen) {
    const inspection = await inspectLog(set.log.path);
    const made = kernelTable(set, inspection);
    // Names only where there is more than one line, as dmsetup does.
    lines.push(formatDmTable({ ...made.table, name: chosen.length > 1 ? set.name : null }));
    remarks.push(...made.remarks.map((remark) => `# ${set.name}: ${remark}`));
  }
  return { lines, remarks };
}

export function tableCommand(services: TableServices): CommandModule<object, TableArguments> {
  return {
    command: 'table <config>',
    describe: 'print the dmsetup table line of a kernel mirror over the same legs and log',
    builder: (yargs) =>
      yargs
        .positional('config', { type: 'string', describe: 'the config file' })
        .option('set', { type: 'string', describe: 'only this set' }),
    handler: async ({ config = '', set }) => {
      const { lines, remarks } = await tablesOf(await services.loadSets(config), set, services.inspectLog);
      for (const remark of remarks) process.stderr.write(`${remark}\n`);
      process.stdout.write(`${lines.join('\n')}\n`);
    },
  };
}
