/** What is told of an event: one line for people, one JSON object for programs. */
import { join } from 'node:path';
import type { EventKind, KeptEvent } from '../../mirror/event.js';
import type { ReportedEvent } from '../../mirror/event-schema.js';
import { printable } from '../../util/printable.js';

/** What happened, apart from where. */
type Happened = Partial<Omit<KeptEvent, 'kind' | 'set' | 'time'>> & {
  readonly kind: EventKind;
  readonly set: string | null;
  /** Unix time in milliseconds. */
  readonly time: number;
};

function details(event: Happened): string {
  const words: string[] = [];
  if (event.leg !== null && event.leg !== undefined) words.push(`leg ${String(event.leg)}`);
  if (event.device !== null && event.device !== undefined) words.push(`(${event.device})`);
  if (event.action !== null && event.action !== undefined) words.push(event.action);
  if (event.errno !== null && event.errno !== undefined) {
    const place =
      event.sector === null || event.sector === undefined ? '' : ` at sector ${String(event.sector)}`;
    words.push(`${event.errno}${place}`);
  }
  const failed = event.failed ?? 0;
  if (event.kind === 'resync-finished' && failed > 0)
    words.push(`${String(failed)} sync regions could not be copied`);
  if (event.kind === 'mismatch' && failed > 0) words.push(`${String(failed)} sectors differ`);
  if (event.kind === 'events-lost')
    words.push(`${String(failed)} events came too fast; dmiofs status shows what is`);
  return words.join(' ');
}

export function reportOf(mountpoint: string, event: Happened): ReportedEvent {
  const time = new Date(event.time).toISOString();
  const file = event.set === null ? mountpoint : join(mountpoint, event.set);
  const text = printable([time, event.kind, file, details(event)].filter((part) => part !== '').join(' '));
  return {
    version: 1,
    event: event.kind,
    time,
    mountpoint,
    set: event.set,
    file,
    leg: event.leg ?? null,
    device: event.device ?? null,
    errno: event.errno ?? null,
    sector: event.sector ?? null,
    action: event.action ?? null,
    failed: event.failed ?? null,
    run: event.run ?? null,
    seq: event.seq ?? null,
    text,
  };
}
