/** A promise, or an error when it takes too long: for what may hang on a device or a dead mount. */
import { DmiofsError } from '../errors.js';

export async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new DmiofsError('ERR_DMIOFS_TIMEOUT', `${what}: no answer within ${String(milliseconds / 1000)} s`),
      );
    }, milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
