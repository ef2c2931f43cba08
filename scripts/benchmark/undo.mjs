// What must be taken back, in reverse order, however the benchmark ends: also on Ctrl-C, and what an earlier run that was killed has left.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cleanup } from '../cleanup.mjs';
import { isRunning, killRunning } from './processes.mjs';

const steps = [];
let ending;

/** Registers a step; returns a function that does it now, once. */
export function onEnd(step) {
  let done;
  const once = () => (done ??= (async () => step())());
  steps.push(once);
  return once;
}

/** Does all that is left to do. */
export function takeBack() {
  ending ??= (async () => {
    for (const step of steps.reverse()) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(`bench: while cleaning up: ${error.message}\n`);
      }
    }
  })();
  return ending;
}

export function takeBackOnSignals() {
  let asked = 0;
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.on(signal, () => {
      if (++asked > 1) return;
      process.stderr.write(`\nbench: ${signal}: cleaning up\n`);
      killRunning();
      void takeBack().then(() => process.exit(code));
    });
  }
}

/** Is the run being ended? What fails then is not worth a word. */
export const isEnding = () => ending !== undefined;

/** A folder of this run, `NAME-PID`, emptied of all mounts and loop devices and removed at the end. */
export function workFolder(parent, name) {
  mkdirSync(parent, { recursive: true });
  for (const entry of readdirSync(parent)) {
    const [, pid] = new RegExp(`^${name}-(\\d+)$`).exec(entry) ?? [];
    if (pid !== undefined && !isRunning(Number(pid))) cleanup(join(parent, entry));
  }
  const folder = join(parent, `${name}-${process.pid}`);
  mkdirSync(folder, { mode: 0o755 });
  onEnd(() => {
    for (const left of cleanup(folder)) process.stderr.write(`bench: had to take away: ${left}\n`);
  });
  return folder;
}
