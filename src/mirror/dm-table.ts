/**
 * The table line of a kernel dm-mirror (`dmsetup table`), as text and as values.
 *
 *     [NAME: ]START LENGTH mirror LOG_TYPE #LOG_ARGS LOG_ARG... #LEGS (DEVICE OFFSET)... [#FEATURES FEATURE...]
 *
 * Source: dm-raid1.c mirror_ctr, create_dirty_log, get_mirror, parse_features; dm-log.c core_ctr, disk_ctr.
 */

/** Log arguments that make the kernel ignore what the log says, at every resume: one-shot tools. */
export type DmLogSync = 'sync' | 'nosync';

export type DmLog =
  | {
      readonly kind: 'core';
      /** Sectors, a power of two, at least 2. */
      readonly regionSectors: number;
      readonly sync: DmLogSync | null;
    }
  | {
      readonly kind: 'disk';
      readonly device: string;
      readonly regionSectors: number;
      readonly sync: DmLogSync | null;
    };

export interface DmLeg {
  /** A path, or MAJOR:MINOR. */
  readonly device: string;
  /** Sectors. */
  readonly sector: number;
}

export interface DmTable {
  /** What `dmsetup table` prints in front of the line when it lists all devices; null: nothing. */
  readonly name: string | null;
  /** Where in the device-mapper device the mirror lies; sectors. */
  readonly start: number;
  /** Sectors. */
  readonly length: number;
  readonly log: DmLog;
  readonly legs: readonly DmLeg[];
  readonly handleErrors: boolean;
  /** Only with handleErrors. */
  readonly keepLog: boolean;
}

/** How many legs a kernel mirror can have: dm-kcopyd copies from one to at most 8. */
export const DM_LEGS = { min: 2, max: 9 } as const;

/** The line that parseDmTable (dm-table-parser.ts) reads. */
export function formatDmTable(table: DmTable): string {
  const { log } = table;
  const logArgs = [
    ...(log.kind === 'disk' ? [log.device] : []),
    String(log.regionSectors),
    ...(log.sync === null ? [] : [log.sync]),
  ];
  const features = [...(table.handleErrors ? ['handle_errors'] : []), ...(table.keepLog ? ['keep_log'] : [])];
  return [
    ...(table.name === null ? [] : [`${table.name}:`]),
    String(table.start),
    String(table.length),
    'mirror',
    log.kind,
    String(logArgs.length),
    ...logArgs,
    String(table.legs.length),
    ...table.legs.flatMap((leg) => [leg.device, String(leg.sector)]),
    ...(features.length === 0 ? [] : [String(features.length), ...features]),
  ].join(' ');
}
