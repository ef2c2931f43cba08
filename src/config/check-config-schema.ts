/** The published schema of `check-config --json`: fields are added, never renamed or removed. */
import { z } from 'zod';
import { setSchema } from './schema.js';

const count = z.int().nonnegative();
/** The words of an option, as the config has them; here it is never left out. */
const { read_policy, start, truncate, cache } = setSchema.shape;

export const checkedLegSchema = z.strictObject({
  device: z.string().describe('Absolute'),
  sector: count.describe('Start sector of the I/O region'),
  count: count.describe('Sectors'),
  found: z.boolean().describe('false: it would be missing; init creates a missing image file'),
  logical_block_size: count.nullable().describe('Bytes; null: not known'),
});

export const checkedSetSchema = z.strictObject({
  name: z.string(),
  count: count.describe('Sectors'),
  size: count.describe('Bytes'),
  read_policy: read_policy.unwrap(),
  log: z.strictObject({
    path: z.string().describe('Absolute'),
    region_size: count.describe('Bytes in a sync region'),
  }),
  io_timeout_ms: count.describe('Milliseconds; 0: no limit'),
  read_error_limit: count.describe('0: no limit'),
  start: start.unwrap(),
  mode: z
    .string()
    .regex(/^[0-7]{4}$/)
    .describe('Octal'),
  uid: count,
  gid: count,
  read_only: z.boolean(),
  truncate: truncate.unwrap(),
  cache: cache.unwrap(),
  legs: z.array(checkedLegSchema),
});

export const checkConfigSchema = z.strictObject({
  version: z.literal(1),
  config: z.string().describe('Absolute'),
  state_dir: z.string().describe('Absolute'),
  engine: z.enum(['auto', 'uring', 'threads']),
  sets: z.array(checkedSetSchema),
});

export type CheckedConfig = Readonly<z.infer<typeof checkConfigSchema>>;
