/** `dmiofs table`: the `dmsetup table` line of a kernel mirror over the same legs and log. */
import { readdirSync, readFileSync } from 'node:fs';
import { loadConfig } from '../../config/load.js';
import { type ResolvedSet, resolveConfig } from '../../config/resolve.js';
import { DmiofsError } from '../../errors.js';
import { formatDmTable } from '../../mirror/dm-table.js';
import { kernelTable, type TableDevice, type TableSet } from '../../mirror/log.js';
import { native } from '../../native/binding.js';
import type { DeviceProbe } from '../../native/device.js';
import { isNativeError } from '../../native/error.js';
import type { LogInspection } from '../../native/log.js';
import { defineCommand } from '../command.js';

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
  inspectLog: (path: string) => Promise<LogInspection>,
): Promise<{ lines: string[]; remarks: string[] }> {
  const lines: string[] = [];
  const remarks: string[] = [];
  for (const set of sets) {
    const inspection = await inspectLog(set.log.path);
    const made = kernelTable(set, inspection);
    // Names only where there is more than one line, as dmsetup does.
    lines.push(formatDmTable({ ...made.table, name: sets.length > 1 ? set.name : null }));
    remarks.push(...made.remarks.map((remark) => `# ${set.name}: ${remark}`));
  }
  return { lines, remarks };
}

function deviceOf(path: string, kind: TableDevice['kind']): TableDevice {
  return { path, kind, loop: kind === 'file' ? loopOf(path) : null };
}

function logKind(
  { name, logPath }: ResolvedSet,
  probeDevice: (path: string) => DeviceProbe,
): TableDevice['kind'] {
  try {
    return probeDevice(logPath).kind;
  } catch (error) {
    if (!isNativeError(error) || error.code !== 'ENOENT') throw error;
    const message = `set ${name}: its log ${logPath} is not there: dmiofs init makes it`;
    throw new DmiofsError('ERR_DMIOFS_TABLE', message, { cause: error });
  }
}

function tableSetOf(set: ResolvedSet, logKind: TableDevice['kind']): TableSet {
  return {
    name: set.name,
    count: set.count,
    legs: set.legs.map(({ device, sector, probe }) => ({
      device: deviceOf(device, probe?.kind ?? 'missing'),
      sector,
    })),
    log: deviceOf(set.logPath, logKind),
    regionSectors: set.syncRegionSectors,
  };
}

export const tableCommand = defineCommand<{ config: string; set: string | undefined }>({
  command: 'table <config>',
  describe: 'print the dmsetup table line of a kernel mirror over the same legs and log',
  builder: (yargs) =>
    yargs
      .positional('config', { type: 'string', demandOption: true, describe: 'config file (YAML)' })
      .option('set', { type: 'string', describe: 'only this set' }),
  handler: async ({ config: file, set }) => {
    const binding = native();
    const probeDevice = (path: string): DeviceProbe => binding.probeDevice(path);
    const config = resolveConfig(loadConfig(file), {
      probeDevice,
      checkUse: false,
      only: set === undefined ? undefined : [set],
    });
    const sets = config.sets.map((resolved) => tableSetOf(resolved, logKind(resolved, probeDevice)));
    const { lines, remarks } = await tablesOf(sets, (path) => binding.inspectLog(path));
    for (const remark of remarks) process.stderr.write(`${remark}\n`);
    process.stdout.write(`${lines.join('\n')}\n`);
  },
});
