/**
 * The status of a set and of a mount: one model, defined once by its schema, and the texts of the extended attributes made from it.
 *
 * The schema is the published one of `status --json` and `user.dmio.json`: fields are added, never renamed or removed.
 */
import { constants } from 'node:os';
import { z } from 'zod';
import type { LegSnapshot, SetSnapshot } from '../native/binding.js';
import type { SyncActionState } from './sync-action.js';

const count = z.int().nonnegative();
const errorBits = z.string().regex(/^0x[0-9a-f]{16}$/);

export const legStatusSchema = z.strictObject({
  leg: count.describe('Its index in the config: its bit in every error bitset'),
  device: z.string(),
  sector: count.describe('Start sector of the I/O region'),
  count: count.describe('Sectors'),
  state: z.enum(['in-sync', 'rebuilding', 'failed', 'missing']),
  replaces: z
    .int()
    .nullable()
    .describe('A replacement: the leg whose place it takes when it is in-sync; null: a leg'),
  health: z.string().length(1).describe('dm-mirror health: A a D F S R U'),
  read_errors: count,
  write_errors: count,
  flush_errors: count,
  sync_errors: count.describe('Errors while the leg was being copied to'),
  last_error: z
    .strictObject({
      errno: z.string(),
      sector: count.describe('Of the set'),
      time: count.describe('Unix seconds'),
    })
    .nullable(),
  reads: count,
  writes: count,
  flushes: count,
  read_bytes: count,
  write_bytes: count,
  repaired_reads: count.describe('Failed reads that were rewritten from a good leg'),
});

export const setStatusSchema = z.strictObject({
  name: z.string(),
  state: z.enum(['complete', 'degraded', 'failed']),
  size: count.describe('Bytes'),
  block_size: count.describe('Largest logical block of the legs, bytes'),
  read_only: z.boolean(),
  error_bits: errorBits.describe('Union of the three below; bit i on = leg i has failed an I/O'),
  error_bits_read: errorBits,
  error_bits_write: errorBits,
  error_bits_flush: errorBits,
  health: z.string().describe('One character a leg'),
  read_leg: z
    .int()
    .nullable()
    .describe('Where sync regions that are not in sync are read; null: no in-sync leg is left'),
  generation: count.describe('Grows with every change of a leg state'),
  log: z.enum(['ok', 'failed', 'none']),
  late_ios: count.describe('I/O that outlived its deadline and has not ended yet'),
  sync_region_size: count.describe('Bytes'),
  dirty: count.describe('Sync regions that a start after a crash would copy'),
  sync: z.strictObject({
    action: z.enum(['idle', 'resync', 'recover', 'check', 'repair', 'frozen']),
    done: count.describe('Sync regions in sync'),
    total: count,
    speed: count.describe('Bytes a second'),
    eta: z.int().describe('Seconds, -1: not known'),
    paused: z.boolean(),
    min: count.describe('Bytes a second'),
    max: count.describe('Bytes a second, 0: no limit'),
    failed: count.describe('Sync regions that could not be copied'),
  }),
  legs: z.array(legStatusSchema),
});

export const mountStatusSchema = z.strictObject({
  version: z.literal(1),
  mountpoint: z.string(),
  pid: count,
  config: z.string(),
  state: z.enum(['complete', 'degraded', 'failed']),
  engine: z.string(),
  session: z.enum(['shim', 'stock']).describe("stock: libfuse's own session and its limits"),
  operations: z.strictObject({ native: count, forwarded: count, read: count, write: count }),
  sets: z.array(setStatusSchema),
});

/** What the mountpoint's own attribute holds: a value has 64 KiB at most, so the sets are told by their files. */
export const mountSummarySchema = mountStatusSchema.extend({
  sets: z.array(setStatusSchema.pick({ name: true, state: true })),
});

export type LegStatus = Readonly<z.infer<typeof legStatusSchema>>;
export type SetStatus = Readonly<z.infer<typeof setStatusSchema>>;
export type MountStatus = Readonly<z.infer<typeof mountStatusSchema>>;
export type MountSummary = Readonly<z.infer<typeof mountSummarySchema>>;

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${String(errno)}`;
}

export function formatErrorBits(bits: bigint): string {
  return `0x${bits.toString(16).padStart(16, '0')}`;
}

function legStatus(leg: LegSnapshot, index: number): LegStatus {
  return {
    leg: index,
    device: leg.device,
    sector: leg.sector,
    count: leg.count,
    state: leg.state,
    replaces: leg.replaces < 0 ? null : leg.replaces,
    health: leg.health,
    read_errors: leg.readErrors,
    write_errors: leg.writeErrors,
    flush_errors: leg.flushErrors,
    sync_errors: leg.syncErrors,
    last_error:
      leg.lastErrno === 0
        ? null
        : { errno: errnoName(leg.lastErrno), sector: leg.lastErrorSector, time: leg.lastErrorTime },
    reads: leg.reads,
    writes: leg.writes,
    flushes: leg.flushes,
    read_bytes: leg.readBytes,
    write_bytes: leg.writeBytes,
    repaired_reads: leg.repairedReads,
  };
}

export function setStatus(set: SetSnapshot, sync: SyncActionState, hasLog: boolean): SetStatus {
  return {
    name: set.name,
    state: set.state,
    size: set.count * 512,
    block_size: set.blockSize,
    read_only: set.readOnly,
    error_bits: formatErrorBits(set.readBits | set.writeBits | set.flushBits),
    error_bits_read: formatErrorBits(set.readBits),
    error_bits_write: formatErrorBits(set.writeBits),
    error_bits_flush: formatErrorBits(set.flushBits),
    health: set.legs.map((leg) => leg.health).join(''),
    read_leg: set.readLeg < 0 ? null : set.readLeg,
    generation: set.generation,
    log: set.logFailed ? 'failed' : hasLog ? 'ok' : 'none',
    late_ios: set.lateIos,
    sync_region_size: set.syncRegionSectors * 512,
    dirty: set.dirtySyncRegions,
    sync: {
      action: sync.action,
      done: sync.done,
      total: sync.total,
      speed: sync.speed,
      eta: sync.eta,
      paused: sync.paused,
      min: sync.limits.min,
      max: sync.limits.max,
      failed: sync.failed,
    },
    legs: set.legs.map(legStatus),
  };
}

/** The worst of them. */
export function worstState(states: readonly SetStatus['state'][]): SetStatus['state'] {
  if (states.includes('failed')) return 'failed';
  return states.includes('degraded') ? 'degraded' : 'complete';
}

/** `user.dmio.status` of a set's file. */
export function statusText(set: SetStatus): string {
  const readLeg = set.read_leg === null ? '-' : String(set.read_leg);
  return (
    `state=${set.state} error_bits=${set.error_bits} health=${set.health} ` +
    `in_sync=${String(set.sync.done)}/${String(set.sync.total)} action=${set.sync.action} read_leg=${readLeg}`
  );
}

/** `user.dmio.status` of the mountpoint: the sum of all sets. */
export function mountStatusText(mount: MountSummary): string {
  const in_ = (state: SetStatus['state']): string =>
    String(mount.sets.filter((set) => set.state === state).length);
  return (
    `state=${mount.state} sets=${String(mount.sets.length)} complete=${in_('complete')} ` +
    `degraded=${in_('degraded')} failed=${in_('failed')}`
  );
}

/** `user.dmio.leg.N`. */
export function legText(leg: LegStatus): string {
  const last =
    leg.last_error === null
      ? '-'
      : `${leg.last_error.errno}@${String(leg.last_error.sector)}@${String(leg.last_error.time)}`;
  return (
    `device=${leg.device} sector=${String(leg.sector)} count=${String(leg.count)} state=${leg.state} ` +
    `read_errors=${String(leg.read_errors)} write_errors=${String(leg.write_errors)} ` +
    `flush_errors=${String(leg.flush_errors)} last_error=${last}`
  );
}

/** `user.dmio.sync`. */
export function syncText({ sync }: SetStatus): string {
  return (
    `action=${sync.action} done=${String(sync.done)} total=${String(sync.total)} ` +
    `speed=${String(sync.speed)} eta=${String(sync.eta)}`
  );
}
