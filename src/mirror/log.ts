/**
 * The dirty region log as the commands see it: what a kernel mirror over the same legs and log would be, and whether that is safe.
 */
import { DmiofsError } from '../errors.js';
import type { LogInspection } from '../native/log.js';
import { DM_LEGS, type DmTable } from './dm-table.js';

/** A device of a set: a file is for the kernel only behind a loop device. */
export interface TableDevice {
  /** Absolute. */
  readonly path: string;
  readonly kind: 'block' | 'file' | 'missing';
  /** The loop device that it is attached to already; null: none. */
  readonly loop: string | null;
}

/** What a table line needs of a set. */
export interface TableSet {
  readonly name: string;
  /** Sectors. */
  readonly count: number;
  readonly legs: readonly { readonly device: TableDevice; readonly sector: number }[];
  readonly log: TableDevice;
  /** Sectors. */
  readonly regionSectors: number;
}

export interface KernelTable {
  readonly table: DmTable;
  /** For the user, a line each: what to do before the table is loaded. */
  readonly remarks: readonly string[];
}

/** A set of which no kernel mirror can be made; says why. */
function refuse(set: TableSet, why: string): DmiofsError {
  return new DmiofsError('ERR_DMIOFS_TABLE', `set ${set.name}: ${why}`);
}

/** A word of a shell command. */
function quote(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function checkDevice(set: TableSet, device: TableDevice): string {
  const path = device.loop ?? device.path;
  if (device.kind === 'missing') throw refuse(set, `${path} cannot be opened`);
  if (/\s/.test(path)) {
    throw refuse(set, `the path '${path}' has a blank, which a table line cannot hold: use a link to it`);
  }
  return path;
}

function remarkOn(device: TableDevice): string[] {
  if (device.kind !== 'file' || device.loop !== null) return [];
  return [
    `${device.path} is a file: run \`losetup --find --show --direct-io=on ${quote(device.path)}\`` +
      ' and put the device that it prints in its place',
  ];
}

/**
 * The kernel mirror over a set's legs and log.
 * @param inspection what the log holds; null: it could not be read
 * @throws {DmiofsError} the kernel has no such mirror, or it would copy old data over new: it always takes leg 0 for the right one
 * (docs/disk-format.md), and the log does not tell it otherwise.
 */
export function kernelTable(set: TableSet, inspection: LogInspection | null): KernelTable {
  if (set.legs.length < DM_LEGS.min || set.legs.length > DM_LEGS.max) {
    const bounds = `${String(DM_LEGS.min)} to ${String(DM_LEGS.max)}`;
    throw refuse(set, `it has ${String(set.legs.length)} legs; a kernel mirror has ${bounds}`);
  }
  if (set.regionSectors > set.count) {
    throw refuse(set, 'its region_size is larger than the set, which the kernel refuses');
  }
  const remarks: string[] = [];
  const record = inspection?.record ?? null;
  if (record !== null) {
    const primary = record.legs[0];
    if (primary !== undefined && primary.state !== 'in-sync') {
      throw refuse(
        set,
        `leg 0 is ${primary.state}, and a kernel mirror would copy from it over newer data: rebuild it first, or put an in-sync leg first`,
      );
    }
    if (!record.clean) {
      remarks.push(
        'the set is in use, or was not stopped in order: never use legs and log in two places at once',
      );
    }
  } else {
    remarks.push(
      'the log holds no record of the set: the kernel will copy what the log says is dirty from leg 0',
    );
  }
  const table: DmTable = {
    name: null,
    start: 0,
    length: set.count,
    log: { kind: 'disk', device: checkDevice(set, set.log), regionSectors: set.regionSectors, sync: null },
    legs: set.legs.map(({ device, sector }) => ({ device: checkDevice(set, device), sector })),
    handleErrors: true,
    keepLog: false,
  };
  const devices = [...set.legs.map((leg) => leg.device), set.log];
  return { table, remarks: [...remarks, ...devices.flatMap(remarkOn)] };
}
