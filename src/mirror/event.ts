/**
 * Events: what happens to a mirror set that somebody may have to know at night, as `dmiofs monitor` tells it.
 *
 * One shape for all kinds; a field that means nothing for a kind is null. The published schema is event-schema.ts.
 */
import type { SyncActionName } from './sync-action.js';

export const MIRROR_EVENTS = {
  'leg-failed': 'a leg was taken out: its device failed, did not answer in time, or the verb fail',
  'degraded-at-start': 'a leg was not in-sync when the set started, or when the monitor came',
  'leg-added': 'a leg more',
  'leg-removed': 'a leg less',
  'leg-replaced': "another device took a leg's place",
  'resync-started': 'sync regions are being copied',
  'resync-finished': 'what could be copied has been',
  mismatch: 'a check found legs that differ',
  'set-failed': 'an I/O could not be done on any leg: its caller got EIO',
  'log-failed': 'the dirty region log or the record cannot be written: writes that need it get EIO',
} as const;

/** What the monitor adds, about the daemon and itself. */
export const MONITOR_EVENTS = {
  'daemon-died': 'the mount is there, its daemon is not',
  'daemon-hung': 'the daemon has not answered in time',
  'daemon-back': 'the daemon answers again',
  'events-lost': 'more happened at once than the daemon keeps: look at the status',
} as const;

export type MirrorEventKind = keyof typeof MIRROR_EVENTS;
export type EventKind = MirrorEventKind | keyof typeof MONITOR_EVENTS;

export interface MirrorSetEvent {
  readonly kind: MirrorEventKind;
  readonly set: string;
  /** null: the set as a whole. */
  readonly leg: number | null;
  readonly device: string | null;
  /** Its name. */
  readonly errno: string | null;
  /** Of the set. */
  readonly sector: number | null;
  readonly action: SyncActionName | null;
  /** Sync regions that could not be copied; sectors that differ. */
  readonly failed: number | null;
}

/** A leg or a set is in trouble: what a log shows as an error. */
export function isAlarming(kind: EventKind): boolean {
  switch (kind) {
    case 'leg-added':
    case 'leg-removed':
    case 'leg-replaced':
    case 'resync-started':
    case 'resync-finished':
    case 'daemon-back':
      return false;
    case 'leg-failed':
    case 'degraded-at-start':
    case 'mismatch':
    case 'set-failed':
    case 'log-failed':
    case 'daemon-died':
    case 'daemon-hung':
    case 'events-lost':
      return true;
    default:
      kind satisfies never;
      return true;
  }
}

/** An event as the daemon keeps it. */
export interface KeptEvent extends MirrorSetEvent {
  /** Of the daemon's life in which it happened. */
  readonly run: string;
  /** Grows by one an event, over restarts too. */
  readonly seq: number;
  /** Unix time in milliseconds. */
  readonly time: number;
}

/** What is wrong, for who comes later: as an event, of which nobody knows when it was. */
export type Standing = Omit<MirrorSetEvent, 'action' | 'failed'>;

/** The value of `user.dmio.events`: events, oldest first, that are still kept. */
export interface EventList {
  readonly version: 1;
  readonly run: string;
  /** The newest event's, of all sets; 0: none yet. */
  readonly last: number;
  /** From here on all events are in the list. */
  readonly first: number;
  readonly events: readonly KeptEvent[];
  /** What is wrong at this point of the list: a failure whose event is still to come is not in it. */
  readonly standing: readonly Standing[];
}
