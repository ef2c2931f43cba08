/** Puts a file in place whole or not at all: who reads at the same moment sees the old one or the new one. */
import { renameSync, rmSync } from 'node:fs';
import { writeSynced } from './write-synced.js';

export function writeAtomically(file: string, text: string): void {
  // Beside it, under a name that a collector of *.prom or the like does not take up; never through what somebody else has put there.
  const temporary = `${file}.${String(process.pid)}`;
  try {
    writeSynced(temporary, text, 0o644);
    renameSync(temporary, file);
  } catch (error) {
    const foreign = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!foreign) rmSync(temporary, { force: true });
    throw error;
  }
}
