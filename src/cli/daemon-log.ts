/** The daemon's log: JSON lines, to stderr in front, to a file of its own in the background. No user data is in it. */
import { chmodSync, closeSync, openSync, renameSync, statSync } from 'node:fs';
import { pino, type Logger } from 'pino';

/** A log that has grown beyond this is put aside at the next start. */
const ROTATE_BYTES = 1024 * 1024;

export function openDaemonLog(level: string, file: string | undefined): Logger {
  const options = { level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  if (file === undefined) return pino(options, pino.destination({ dest: 2, sync: true }));
  try {
    if (statSync(file).size > ROTATE_BYTES) renameSync(file, `${file}.1`);
  } catch {
    // The first start.
  }
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  return pino(options, pino.destination({ dest: file, sync: true }));
}
