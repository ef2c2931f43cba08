/** The metrics in Prometheus' text format: their names, what they mean, and the figures of one moment. Base units: seconds and bytes. */
import type { LegStatus, MountStatus, SetStatus } from '../../mirror/status.js';
import type { LegTotals } from '../../native/set-snapshot.js';
import type { Measured } from './collect.js';
import { bound, type Labels, Metrics } from './metrics.js';

const STATES = ['complete', 'degraded', 'failed'] as const;
const LEG_STATES = ['in-sync', 'rebuilding', 'failed', 'missing'] as const;
const ACTIONS = ['idle', 'resync', 'recover', 'check', 'repair', 'frozen'] as const;

function addDaemon(metrics: Metrics, { mountpoint, daemon, operations }: MountStatus, now: number): void {
  const of = { mountpoint };
  const { gauge, counter } = bound(metrics, of);
  counter('dmiofs_process_cpu_seconds_total', 'Processor time that the daemon has used', daemon.cpu);
  gauge('dmiofs_process_resident_memory_bytes', 'Resident memory of the daemon', daemon.rss);
  gauge('dmiofs_process_open_fds', 'Open files of the daemon', daemon.open_files);
  gauge('dmiofs_process_start_time_seconds', 'Unix time at which the daemon started', daemon.started);
  gauge('dmiofs_process_uptime_seconds', 'Age of the daemon', Math.max(now - daemon.started, 0));
  gauge('dmiofs_buffers', 'Pooled buffers of the data path', daemon.buffers);
  gauge(
    'dmiofs_abandoned_buffers',
    'Buffers that a device holds which has not answered within io_timeout, and may still answer',
    daemon.late_buffers,
  );
  for (const [by, value] of [
    ['native', operations.native],
    ['javascript', operations.forwarded],
  ] as const) {
    const help = 'Operations of the mount, by the plane that answered them';
    metrics.counter('dmiofs_fuse_operations_total', help, { ...of, answered_by: by }, value);
  }
  counter('dmiofs_fuse_reads_total', 'Read requests of the mount', operations.read);
  counter('dmiofs_fuse_writes_total', 'Write requests of the mount', operations.write);
}

function addSet(metrics: Metrics, mountpoint: string, set: SetStatus): void {
  const of = { mountpoint, set: set.name };
  const { gauge } = bound(metrics, of);
  const { sync } = set;
  metrics.state(
    'dmiofs_set_state',
    'State of the set: 1 for the one it is in',
    of,
    'state',
    STATES,
    set.state,
  );
  gauge('dmiofs_set_size_bytes', 'Size of the set', set.size);
  gauge('dmiofs_set_read_only', 'Whether the set is read-only', set.read_only ? 1 : 0);
  gauge(
    'dmiofs_set_log_failed',
    'Whether the dirty region log or the record cannot be written',
    set.log === 'failed' ? 1 : 0,
  );
  gauge('dmiofs_set_in_flight_operations', 'Operations of users under way', set.in_flight);
  metrics.state(
    'dmiofs_sync_action',
    'Sync action: 1 for the one that runs',
    of,
    'action',
    ACTIONS,
    sync.action,
  );
  gauge('dmiofs_sync_region_size_bytes', 'Size of a sync region', set.sync_region_size);
  gauge('dmiofs_sync_regions', 'Sync regions of the set', sync.total);
  gauge('dmiofs_sync_regions_in_sync', 'Sync regions in which the legs hold the same', set.in_sync);
  gauge(
    'dmiofs_sync_regions_dirty',
    'Sync regions that a start after a crash, or the return of a leg, would copy',
    set.dirty,
  );
  gauge(
    'dmiofs_mismatches',
    'Ranges in which the last check or repair found legs to differ, and that it did not repair',
    set.mismatches,
  );
  gauge('dmiofs_sync_regions_failed', 'Sync regions that the last sync action could not copy', sync.failed);
  gauge(
    'dmiofs_sync_progress_ratio',
    'Part of the set that is in sync; of check and repair: that has been compared',
    sync.total === 0 ? 1 : sync.done / sync.total,
  );
  gauge('dmiofs_sync_speed_bytes_per_second', 'Speed of the running sync action', sync.speed);
  if (sync.eta >= 0)
    gauge('dmiofs_sync_eta_seconds', 'Time left of the running sync action; none: not known', sync.eta);
}

function addLeg(metrics: Metrics, set: Labels, leg: LegStatus, totals: LegTotals | undefined): void {
  const of = { ...set, leg: leg.leg };
  const { gauge, counter } = bound(metrics, of);
  const info = { ...of, device: leg.device, sector: leg.sector };
  metrics.gauge('dmiofs_leg_info', "The leg's device and its first sector there; always 1", info, 1);
  metrics.state(
    'dmiofs_leg_state',
    'State of the leg: 1 for the one it is in',
    of,
    'state',
    LEG_STATES,
    leg.state,
  );
  for (const [kind, value] of [
    ['read', leg.read_errors],
    ['write', leg.write_errors],
    ['flush', leg.flush_errors],
    ['sync', leg.sync_errors],
  ] as const) {
    const help = 'Errors of the leg since they were last cleared, by the kind of I/O';
    metrics.counter('dmiofs_leg_errors_total', help, { ...of, kind }, value);
  }
  if (leg.last_error !== null) {
    gauge('dmiofs_leg_last_error_timestamp_seconds', 'Unix time of the last error', leg.last_error.time);
  }
  counter(
    'dmiofs_leg_repaired_reads_total',
    'Failed reads that were rewritten on the leg from a good one',
    leg.repaired_reads,
  );
  gauge('dmiofs_leg_late_ios', 'I/O that outlived its deadline and has not ended yet', leg.late_ios);
  for (const [operation, total] of Object.entries(totals ?? {})) {
    const labels = { ...of, operation };
    const count = total.buckets.reduce((sum, bucket) => sum + bucket, 0);
    metrics.counter(
      'dmiofs_leg_operations_total',
      'Operations on the leg for users of the set',
      labels,
      count,
    );
    metrics.counter('dmiofs_leg_bytes_total', 'Bytes of these operations', labels, total.bytes);
    metrics.duration(labels, total);
  }
}

/** `now`: Unix seconds. */
export async function metricsText(
  measured: readonly Measured[],
  version: string,
  now: number,
): Promise<string> {
  const metrics = new Metrics();
  metrics.gauge('dmiofs_build_info', 'Version of the program that tells this; always 1', { version }, 1);
  for (const one of measured) {
    const mountpoint = one.up ? one.status.mountpoint : one.mountpoint;
    const help = 'Whether the daemon of the mount answers';
    metrics.gauge('dmiofs_up', help, { mountpoint }, one.up ? 1 : 0);
    if (!one.up) continue;
    addDaemon(metrics, one.status, now);
    for (const [index, set] of one.status.sets.entries()) {
      addSet(metrics, mountpoint, set);
      for (const leg of set.legs) {
        addLeg(metrics, { mountpoint, set: set.name }, leg, one.legs[index]?.[leg.leg]);
      }
    }
  }
  return metrics.text();
}
