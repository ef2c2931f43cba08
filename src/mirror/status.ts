/**
 * The status of a set and of a mount: one model, defined once by its schema (status-schema.ts), and the texts of the extended attributes
 * made from it.
 */
import { constants } from 'node:os';
import type { LegSnapshot, LegTotals, SetSnapshot } from '../native/set-snapshot.js';
import type { LegStatus, MountSummary, SetStatus } from './status-schema.js';
import type { SyncActionState } from './sync-action.js';

export type { LegStatus, MountStatus, MountSummary, SetStatus } from './status-schema.js';

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
    late_ios: leg.lateIos,
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

/** `mismatches`: ranges in which legs are known to differ. */
export function setStatus(
  set: SetSnapshot,
  sync: SyncActionState,
  hasLog: boolean,
  mismatches: number,
): SetStatus {
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
    in_flight: set.inFlight,
    sync_region_size: set.syncRegionSectors * 512,
    dirty: set.dirtySyncRegions,
    in_sync: sync.inSync,
    mismatches,
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
    `in_sync=${String(set.in_sync)}/${String(set.sync.total)} action=${set.sync.action} read_leg=${readLeg}`
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

/** `user.dmio.metrics.N`: operations, bytes and latency of a leg; seconds with nanoseconds, buckets to the last that is not empty. */
export function metricsText(totals: LegTotals): string {
  const ops = Object.entries(totals).map(([op, { bytes, seconds, buckets }]) => [
    op,
    {
      bytes,
      seconds: Math.round(seconds * 1e9) / 1e9,
      buckets: buckets.slice(0, buckets.findLastIndex((count) => count > 0) + 1),
    },
  ]);
  return JSON.stringify(Object.fromEntries(ops));
}

/** `user.dmio.sync`. */
export function syncText({ sync }: SetStatus): string {
  return (
    `action=${sync.action} done=${String(sync.done)} total=${String(sync.total)} ` +
    `speed=${String(sync.speed)} eta=${String(sync.eta)}`
  );
}

/** What a mount says of itself or of one of its sets, as JSON. Throws when it is nothing that this version can read. */
export function parseStatus<T extends MountSummary | SetStatus>(text: string, has: keyof T & string): T {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !(has in value)) {
    throw new Error(`an unexpected answer: ${text.slice(0, 80)}`);
  }
  return value as T;
}
