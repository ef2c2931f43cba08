/** The rules of `mount --fault-rules`. A misspelt key must not become a rule for every device: all of it is checked. */
import { z } from 'zod';
import { DmiofsError } from '../errors.js';
import type { FaultRule } from '../native/io.js';

const count = z.int().nonnegative();

const rulesSchema = z.array(
  z.strictObject({
    action: z.enum(['error', 'error-after', 'delay', 'hang', 'torn', 'drop', 'corrupt']),
    device: z.string().exactOptional(),
    ops: z.array(z.enum(['read', 'write', 'flush', 'discard', 'write-zeroes'])).exactOptional(),
    firstByte: count.exactOptional(),
    lastByte: count.exactOptional(),
    skip: count.exactOptional(),
    times: count.exactOptional(),
    chancePerMillion: count.max(1_000_000).exactOptional(),
    seed: count.exactOptional(),
    error: z.int().positive().max(4095).exactOptional(),
    delayMs: count.exactOptional(),
    delayUs: count.exactOptional(),
    tornBytes: count.exactOptional(),
  }),
);

export function checkFaultRules(value: unknown): readonly FaultRule[] {
  const checked = rulesSchema.safeParse(value);
  if (checked.success) return checked.data;
  const wrong = checked.error.issues.map(({ path, message }) => {
    const [rule, ...rest] = path.map(String);
    const at = rule === undefined ? '' : `rule ${rule}: ${rest.length > 0 ? `${rest.join('.')}: ` : ''}`;
    return `--fault-rules: ${at}${message}`;
  });
  throw new DmiofsError('ERR_DMIOFS_USAGE', wrong.join('\n'));
}
