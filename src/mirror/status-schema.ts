/**
 * The published schema of a mount's status (`status --json`, `user.dmio.json`): fields are added, never renamed or removed.
 *
 * Apart from status.ts, which only takes its types: a command that asks for a status need not load the schema library.
 */
import { z } from 'zod';

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
  late_ios: count.describe('I/O that outlived its deadline, which its device has not ended yet'),
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
  in_flight: count.describe('Operations of users under way'),
  sync_region_size: count.describe('Bytes'),
  dirty: count.describe('Sync regions that a start after a crash would copy'),
  in_sync: count.describe('Sync regions in sync'),
  mismatches: count.describe(
    'Ranges in which the last scrub since the mount found legs to differ, and which it did not repair',
  ),
  sync: z.strictObject({
    action: z.enum(['idle', 'resync', 'recover', 'check', 'repair', 'frozen']),
    done: count.describe('Sync regions in sync; of check and repair: that have been compared'),
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

const stageTimeSchema = z
  .strictObject({ count, mean: count, p50: count, p99: count, max: count })
  .describe('Nanoseconds since the stage before');
const stagesSchema = z.partialRecord(
  z.enum(['range-locked', 'dirty-marked', 'submitted', 'completed', 'answered', 'whole']),
  stageTimeSchema,
);

export const mountStatusSchema = z.strictObject({
  version: z.literal(1),
  mountpoint: z.string(),
  pid: count,
  config: z.string(),
  state: z.enum(['complete', 'degraded', 'failed']),
  engine: z.string(),
  session: z.enum(['shim', 'stock']).describe("stock: libfuse's own session and its limits"),
  session_limits: z.strictObject({
    max_request: count.describe('Bytes of the largest read or write that the kernel sends'),
    async_direct_io: z.boolean(),
    parallel_direct_writes: z.boolean(),
    writeback_cache: z.boolean(),
  }),
  operations: z.strictObject({ native: count, forwarded: count, read: count, write: count }),
  daemon: z
    .strictObject({
      started: count.describe('Unix seconds'),
      rss: count.describe('Resident memory, bytes'),
      cpu: z.number().nonnegative().describe('Seconds used'),
      open_files: count,
      buffers: count.describe('Pooled buffers of the data path'),
      late_buffers: count.describe('Of these, held by devices that have not answered yet'),
    })
    .describe('Its process'),
  stages: z
    .record(z.enum(['read', 'write', 'flush']), stagesSchema)
    .optional()
    .describe(
      'With DMIOFS_STAGE_TIMES=1 in the environment of the mount: how long each stage of a request took',
    ),
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
