/** The published schema of `scrub --json` and `user.dmio.scrub.json`: fields are added, never renamed or removed. */
import { z } from 'zod';

const count = z.int().nonnegative();

export const scrubRangeSchema = z.strictObject({
  sector: count.describe('First sector, of the set'),
  count: count.describe('Sectors'),
  by: z
    .enum(['majority', 'primary', 'nobody'])
    .describe('Who says what is right: more than half of three or more legs, the lowest in-sync leg, nobody'),
  repaired: z.boolean().describe('Every leg in use holds what is right now'),
  legs: z.array(
    z.strictObject({
      leg: count,
      hash: z
        .string()
        .describe("First 16 hex digits of the SHA-256 of the range's bytes, as they were found"),
      right: z.boolean(),
    }),
  ),
});

export const scrubSchema = z.strictObject({
  version: z.literal(1),
  set: z.string(),
  run: count.describe('Number of the scrub since the mount'),
  action: z.enum(['check', 'repair']),
  state: z.enum(['running', 'finished', 'stopped']).describe('stopped: ended before all was compared'),
  started: count.describe('Unix seconds'),
  finished: count.nullable().describe('Unix seconds; null: it runs'),
  total: count.describe('Sync regions of the set'),
  compared: count.describe('Sync regions that were compared'),
  skipped: count.describe('Sync regions that were not in sync, or that fewer than two legs held'),
  failed: count.describe('Sync regions that no leg could be read of'),
  mismatches: count.describe('Ranges that differed; a range ends at the end of its sync region'),
  sectors: count.describe('Sectors in them'),
  repaired: count.describe('Ranges that were repaired'),
  ranges: z.array(scrubRangeSchema).describe('The first 1,000 that were found, by sector'),
});

/** What one attribute holds: a value has 64 KiB at most. */
export const scrubPageSchema = scrubSchema.extend({
  next: count.nullable().describe('The ranges go on in user.dmio.scrub.json.NEXT; null: these are the last'),
});

export type ScrubRange = Readonly<z.infer<typeof scrubRangeSchema>>;
export type ScrubReport = Readonly<z.infer<typeof scrubSchema>>;
export type ScrubPage = Readonly<z.infer<typeof scrubPageSchema>>;
