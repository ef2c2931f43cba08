/** The published schema of a line of `monitor --json`: fields are added, never renamed or removed. */
import { z } from 'zod';
import { type EventKind, MIRROR_EVENTS, MONITOR_EVENTS } from './event.js';

const kinds = Object.keys({ ...MIRROR_EVENTS, ...MONITOR_EVENTS }) as [EventKind, ...EventKind[]];
const count = z.int().nonnegative();

export const eventSchema = z.strictObject({
  version: z.literal(1),
  event: z.enum(kinds).describe(
    Object.entries({ ...MIRROR_EVENTS, ...MONITOR_EVENTS })
      .map(([kind, text]) => `${kind}: ${text}`)
      .join('; '),
  ),
  time: z.string().describe('ISO 8601, UTC, with milliseconds'),
  mountpoint: z.string(),
  set: z.string().nullable().describe('null: the mount as a whole'),
  file: z.string().describe("The set's file; the mountpoint where there is no set"),
  leg: count.nullable().describe('null: the set as a whole'),
  device: z.string().nullable().describe("The leg's device at that time"),
  errno: z.string().nullable().describe('Name of the errno, such as EIO'),
  sector: count.nullable().describe('Of the set'),
  action: z.enum(['idle', 'resync', 'recover', 'check', 'repair', 'frozen']).nullable(),
  failed: count
    .nullable()
    .describe('Sync regions that could not be copied; sectors that differ; events that were lost'),
  run: z
    .string()
    .nullable()
    .describe("Names the daemon's life in which it happened; null: the monitor's own"),
  seq: count.nullable().describe('Number of the event; with run it names the event'),
  text: z.string().describe('The line without --json'),
});

export type ReportedEvent = Readonly<z.infer<typeof eventSchema>>;
