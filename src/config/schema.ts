/**
 * The config file's schema: the single source of its types, defaults, checks, help and JSON Schema (config/dmiofs.schema.json).
 * What a value means in the end (absolute paths, sectors, milliseconds) is made of it in load.ts.
 */
import { z } from 'zod';
import { parseDuration } from '../util/duration.js';
import { parseSize } from '../util/size.js';
import { MAX_ID } from './accounts.js';

const SECTOR = 512;

/** Beyond this, byte offsets are not exact in a JavaScript number: 4 PiB. */
const MAX_SECTORS = 2 ** 43;
const MAX_TIMEOUT_MS = 24 * 3_600_000;

/** A text of this form, or a number; `pattern` is for the JSON Schema: what `parse` says counts. */
function checked(parse: (value: string | number) => unknown, what: string, pattern: string) {
  return z
    .union([z.string(), z.number()], `must be ${what}`)
    .check((context) => {
      if (parse(context.value) === undefined) {
        context.issues.push({ code: 'custom', input: context.value, message: `must be ${what}` });
      }
    })
    .meta({ pattern, minimum: 0 });
}

const SIZE_PATTERN = '^\\s*[0-9]+(\\.[0-9]+)?\\s*([kKmMgGtTpP]([iI]?[bB])?|[bB])?\\s*$';
const DURATION_PATTERN = '^\\s*[0-9]+(\\.[0-9]+)?\\s*(ms|s|m|h)?\\s*$';

/** Bytes of a size value. */
export const sizeOf = (value: string | number): number | undefined =>
  typeof value === 'number'
    ? Number.isSafeInteger(value) && value >= 0
      ? value
      : undefined
    : parseSize(value);

/** Milliseconds of a duration value; a number is seconds. */
export function durationOf(value: string | number): number | undefined {
  const milliseconds = parseDuration(String(value));
  return milliseconds === undefined || milliseconds > MAX_TIMEOUT_MS ? undefined : milliseconds;
}

const regionSize = (value: string | number): number | undefined => {
  const bytes = sizeOf(value);
  if (bytes === undefined || bytes < 4096 || bytes > 2 ** 40) return undefined;
  return Number.isInteger(Math.log2(bytes)) ? bytes : undefined;
};

const positiveSectors = (value: string | number): number | undefined => {
  const bytes = sizeOf(value);
  return bytes !== undefined && bytes > 0 && bytes % SECTOR === 0 && bytes <= MAX_SECTORS * SECTOR
    ? bytes
    : undefined;
};

const path = z
  .string()
  .min(1, 'must be a path, not empty')
  .refine((value) => !/[\0\p{Surrogate}]/u.test(value), 'must be a path: no NUL, only whole characters');
const SECTORS = `must be a whole number of sectors, 0 to ${String(MAX_SECTORS)}`;
const sectors = z.int(SECTORS).min(0, SECTORS).max(MAX_SECTORS, SECTORS);
const READ_ERRORS = 'must be a number of errors, 0 to 1000000; 0: no limit';
const MODE = 'must be permission bits in quotes, such as "0600"';
const ACCOUNT = 'must be a name or a number';
const account = z.union([z.string().min(1, ACCOUNT), z.int().min(0, ACCOUNT).max(MAX_ID, ACCOUNT)], ACCOUNT);

const deviceKey = path.describe('Block device or image file; relative to this file');
const sectorKey = sectors.default(0).describe('Start sector of the I/O region');

export const placeSchema = z.strictObject({ device: deviceKey, sector: sectorKey });

export const regionSchema = z.strictObject({
  device: deviceKey,
  sector: sectorKey,
  count: sectors
    .min(1, 'must be at least 1 sector')
    .optional()
    .describe("Sectors; default: up to the device's end"),
  replacement: placeSchema
    .optional()
    .describe(
      'Takes the place of this I/O region when all has been copied to it; written by `dmiofs replace`, not by hand',
    ),
});

export const logSchema = z.strictObject({
  path: path.optional().describe('File or block device; default: <state_dir>/<set name>.log'),
  region_size: checked(regionSize, 'a power of two from 4KiB to 1TiB, such as 512KiB', SIZE_PATTERN)
    .default('512KiB')
    .describe('Size of a sync region: a power of two, 4KiB to 1TiB'),
});

export const setSchema = z.strictObject({
  regions: z
    .array(regionSchema, {
      error: ({ input }) =>
        `${input === undefined ? 'is missing: it is' : 'must be'} a list of I/O regions, each with a device`,
    })
    .min(1, 'must name at least one I/O region')
    .max(64, 'must name at most 64 I/O regions')
    .describe('The legs, in order: 1 to 64'),
  size: checked(positiveSectors, 'a size that is a multiple of 512 bytes, such as 1GiB', SIZE_PATTERN)
    .optional()
    .describe('Size of the set; default: the smallest I/O region. init creates missing image files with it'),
  read_policy: z
    .enum(['primary', 'round-robin', 'fastest'])
    .default('primary')
    .describe(
      'Which leg a read goes to: primary: the lowest in-sync one; round-robin: one after the other; fastest: the one that has answered soonest lately',
    ),
  log: logSchema.prefault({}).describe('The dirty region log'),
  io_timeout: checked(
    durationOf,
    'a duration such as 30s or 500ms, at most 24h; 0: no limit',
    DURATION_PATTERN,
  )
    .default('30s')
    .describe('A leg that does not answer in this time is failed; 0: wait for ever'),
  read_error_limit: z
    .int(READ_ERRORS)
    .min(0, READ_ERRORS)
    .max(1_000_000, READ_ERRORS)
    .default(20)
    .describe(
      'A leg is taken out after more read errors than this, though each was repaired; they count half after an hour; 0: no limit',
    ),
  start: z
    .enum(['any', 'majority', 'all'])
    .default('any')
    .describe(
      'How many trusted in-sync legs are needed to start: any: one; majority: more than half; all: every one',
    ),
  mode: z
    .string(MODE)
    .regex(/^0?[0-7]{3}$/, MODE)
    .default('0600')
    .describe('Permission bits of the file'),
  owner: account.optional().describe('User that owns the file; default: who mounts'),
  group: account.optional().describe('Group of the file; default: of who mounts'),
  read_only: z.boolean('must be true or false').default(false).describe('The file cannot be written'),
  truncate: z
    .enum(['zero', 'deny'])
    .default('zero')
    .describe('What O_TRUNC does: zeros the content, or is refused'),
  cache: z
    .enum(['auto', 'none', 'writeback'])
    .default('auto')
    .describe(
      'auto: kernel page cache for reads, writes go through; none: every open is direct; writeback: writes gather in the page cache and are on the legs at fsync and close, O_TRUNC is refused, and every set of the mount must ask for it',
    ),
});

/** Why a name cannot be a set's, that is a file's under the mountpoint; undefined: it can. */
export function badName(name: string): string | undefined {
  if (name === '__proto__') return 'must not be "__proto__"';
  if (name === '' || name === '.' || name === '..') return 'must not be empty, "." or ".."';
  if (name.includes('/')) return 'must not contain "/": it is a file\'s name under the mountpoint';
  if (/[\u0000-\u001f\u007f]/.test(name)) return 'must not contain control characters';
  if (/\p{Surrogate}/u.test(name)) return 'must not contain halves of characters';
  return Buffer.byteLength(name) > 255 ? 'must be at most 255 bytes long' : undefined;
}

export const configSchema = z
  .strictObject({
    version: z.literal(1, 'must be 1, the version of this format').describe('Version of the format: 1'),
    state_dir: path
      .optional()
      .describe(
        'Folder of the dirty region logs and of what the daemons keep; default: $STATE_DIRECTORY, else /var/lib/dmiofs for root, else $XDG_STATE_HOME/dmiofs',
      ),
    engine: z
      .enum(['auto', 'uring', 'threads'])
      .default('auto')
      .describe('How I/O reaches the devices: io_uring, or threads where that is not allowed'),
    log_level: z
      .enum(['error', 'warn', 'info', 'debug'])
      .default('info')
      .describe("How much the daemon's log says"),
    sets: z
      .record(
        z.string().meta({ minLength: 1, pattern: '^[^/]+$' }),
        setSchema,
        'must be a map of sets by name',
      )
      .refine((sets) => Object.keys(sets).length > 0, 'must name at least one set')
      .describe('The mirror sets, by the name of their file'),
  })
  .describe('dmiofs config file');

export type ConfigText = Readonly<z.infer<typeof configSchema>>;
export type SetText = ConfigText['sets'][string];
