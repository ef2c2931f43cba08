import type { CheckedConfig } from '../../config/check-config-schema.js';
import { loadConfig } from '../../config/load.js';
import { type ResolvedConfig, type ResolvedSet, resolveConfig } from '../../config/resolve.js';
import { native } from '../../native/binding.js';
import { printable } from '../../util/printable.js';
import { formatSize, humanSize } from '../../util/size.js';
import { defineCommand } from '../command.js';
import { plainTable } from '../plain-table.js';

/** The sets as they would be, for machines. */
function toJson(config: ResolvedConfig): CheckedConfig {
  return {
    version: 1,
    config: config.file,
    state_dir: config.stateDir,
    engine: config.engine,
    sets: config.sets.map((set) => ({
      name: set.name,
      count: set.count,
      size: set.count * 512,
      read_policy: set.readPolicy,
      log: { path: set.logPath, region_size: set.syncRegionSectors * 512 },
      io_timeout_ms: set.ioTimeoutMs,
      read_error_limit: set.readErrorLimit,
      start: set.start,
      mode: set.mode.toString(8).padStart(4, '0'),
      uid: set.uid,
      gid: set.gid,
      read_only: set.readOnly,
      truncate: set.truncate,
      cache: set.cache,
      legs: set.legs.map(({ device, sector, probe }) => ({
        device,
        sector,
        count: set.count,
        found: probe !== undefined,
        logical_block_size: probe?.logicalBlockSize ?? null,
      })),
    })),
  };
}

const timeoutOf = (milliseconds: number): string =>
  milliseconds === 0 ? 'none' : `${String(milliseconds / 1000)}s`;

function settings(set: ResolvedSet): string {
  return [
    `log ${printable(set.logPath)}`,
    `sync regions of ${formatSize(set.syncRegionSectors * 512)}`,
    `read_policy ${set.readPolicy}`,
    `io_timeout ${timeoutOf(set.ioTimeoutMs)}`,
    `start ${set.start}`,
    `mode ${set.mode.toString(8).padStart(4, '0')} of ${String(set.uid)}:${String(set.gid)}`,
    `truncate ${set.truncate}`,
    `cache ${set.cache}`,
    ...(set.readOnly ? ['read-only'] : []),
  ].join(', ');
}

function toText({ sets }: ResolvedConfig): string {
  const rows = sets.flatMap((set) =>
    [...set.legs, ...set.replacements].map((leg, index) => [
      index === 0 ? printable(set.name) : '',
      index === 0 ? humanSize(set.count * 512) : '',
      'replaces' in leg ? `for ${String(leg.replaces)}` : String(index),
      printable(leg.device),
      String(leg.sector),
      String(set.count),
      leg.probe === undefined ? 'missing' : 'found',
    ]),
  );
  const table = plainTable(['set', 'size', 'leg', 'device', 'sector', 'count', 'device is'], rows);
  return [table, '', ...sets.map((set) => `${printable(set.name)}: ${settings(set)}`)].join('\n');
}

export const checkConfigCommand = defineCommand<{ config: string; json: boolean }>({
  command: 'check-config <config>',
  describe: 'check a config and show the sets as they would be',
  builder: (yargs) =>
    yargs
      .positional('config', { type: 'string', demandOption: true, describe: 'config file (YAML)' })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON (config/check-config.schema.json)',
      }),
  handler: ({ config: file, json }) => {
    const binding = native();
    const config = resolveConfig(loadConfig(file), {
      probeDevice: (path) => binding.probeDevice(path),
    });
    process.stdout.write(`${json ? JSON.stringify(toJson(config), null, 2) : toText(config)}\n`);
  },
});
