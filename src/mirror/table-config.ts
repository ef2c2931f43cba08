/** A config file (version 1) of the table lines of kernel mirrors. */
import { Document, type Pair, type Scalar } from 'yaml';

import { DmiofsError } from '../errors.js';
import { formatSize } from '../util/size.js';
import type { DmTable } from './dm-table.js';

const SECTOR_BYTES = 512;
const MIN_REGION_BYTES = 4096;

export interface TableConfigOptions {
  /** The set's name where the line has none. */
  readonly name: string;
  /** A path for a device given as MAJOR:MINOR. */
  readonly resolveDevice: (majorMinor: string) => string;
}

interface SetNode {
  regions: { device: string; sector?: number; count: number }[];
  log: { path?: string; region_size: string };
}

function device(name: string, options: TableConfigOptions): string {
  return /^\d+:\d+$/.test(name) ? options.resolveDevice(name) : name;
}

function setOf(name: string, table: DmTable, options: TableConfigOptions): SetNode {
  const regionBytes = table.log.regionSectors * SECTOR_BYTES;
  if (regionBytes < MIN_REGION_BYTES) {
    throw new DmiofsError(
      'ERR_DMIOFS_TABLE',
      `set ${name}: its region size is ${formatSize(regionBytes)}, a config has at least ${formatSize(MIN_REGION_BYTES)}`,
    );
  }
  return {
    regions: table.legs.map((leg) => ({
      device: device(leg.device, options),
      ...(leg.sector === 0 ? {} : { sector: leg.sector }),
      count: table.length,
    })),
    log: {
      ...(table.log.kind === 'disk' ? { path: device(table.log.device, options) } : {}),
      region_size: formatSize(regionBytes),
    },
  };
}

/** What the table says and a config cannot, for people. */
function remarks(table: DmTable): string[] {
  const found: string[] = [];
  if (table.start !== 0) found.push(`was at sector ${String(table.start)} of its device-mapper device`);
  if (table.log.kind === 'core') found.push('had its log in memory only: gets one in state_dir');
  if (table.log.sync !== null)
    found.push(`'${table.log.sync}' is left out: it made the kernel ignore the log`);
  if (!table.handleErrors)
    found.push('did not handle errors: here a leg that fails a write is always taken out');
  return found;
}

/**
 * The text of a config with a set for each table.
 * @throws {DmiofsError} two lines of one name, a name that no file can have, a region size below 4 KiB
 */
export function configOfTables(tables: readonly DmTable[], options: TableConfigOptions): string {
  const sets = new Map<string, SetNode>();
  const comments = new Map<string, string[]>();
  for (const table of tables) {
    const name = table.name ?? options.name;
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new DmiofsError(
        'ERR_DMIOFS_TABLE',
        `'${name}' cannot be the name of a set: give another with --name`,
      );
    }
    if (sets.has(name)) {
      throw new DmiofsError(
        'ERR_DMIOFS_TABLE',
        `two lines for ${name}: a set is one mirror target (name the lines, as \`dmsetup table\` does)`,
      );
    }
    sets.set(name, setOf(name, table, options));
    comments.set(name, remarks(table));
  }
  const document = new Document({ version: 1, sets: Object.fromEntries(sets) });
  const node = document.get('sets') as { items: Pair<Scalar<string>>[] };
  for (const pair of node.items) {
    const lines = comments.get(pair.key.value) ?? [];
    if (lines.length > 0) pair.key.commentBefore = lines.map((line) => ` ${line}`).join('\n');
  }
  return document.toString({ lineWidth: 0 });
}
