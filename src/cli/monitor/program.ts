/**
 * ProgramRunner: runs the program of `monitor --exec` for one event after the other, while the monitor goes on.
 *
 * No shell. A program that fails is reported; one that does not end in time is killed with all it has started in its process group.
 */
import { spawn } from 'node:child_process';
import type { ReportedEvent } from '../../mirror/event-schema.js';
import { sleep } from '../../util/timeout.js';

/** Events that wait for the program; more are reported as left out. */
const MOST_WAITING = 1000;
/** What a killed program is waited for: one stuck in the kernel cannot be. */
const KILL_MS = 2000;

export interface ProgramOptions {
  readonly program: string;
  /** Milliseconds. */
  readonly timeout: number;
  readonly problem: (message: string) => void;
}

export class ProgramRunner {
  readonly #options: ProgramOptions;
  readonly #waiting: ReportedEvent[] = [];
  #running: Promise<void> | undefined;
  #abort: () => void = () => undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  add(event: ReportedEvent): void {
    const { program, problem } = this.#options;
    if (this.#waiting.length >= MOST_WAITING) {
      problem(`${program} is too slow: it is not run for ${event.text}`);
      return;
    }
    this.#waiting.push(event);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when the program has been run for all; after `milliseconds` with what was not. */
  async drain(milliseconds: number): Promise<void> {
    const late = sleep(milliseconds).then(() => {
      const left = this.#waiting.splice(0);
      if (this.#running !== undefined)
        this.#options.problem(`${this.#options.program} has not ended: it is killed`);
      for (const { text } of left) this.#options.problem(`${this.#options.program} was not run for ${text}`);
      this.#abort();
    });
    await Promise.race([this.#running, late]);
  }

  async #run(): Promise<void> {
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      await this.#once(event);
    }
  }

  #once(event: ReportedEvent): Promise<void> {
    const { program, timeout, problem } = this.#options;
    const leg = event.leg === null ? '' : String(event.leg);
    const child = spawn(program, [event.event, event.file, leg, event.device ?? ''], {
      detached: true, // a process group of its own, to be killed as a whole
      stdio: ['ignore', 2, 2],
      env: {
        ...process.env,
        DMIOFS_EVENT: event.event,
        DMIOFS_TIME: event.time,
        DMIOFS_MOUNTPOINT: event.mountpoint,
        DMIOFS_FILE: event.file,
        DMIOFS_SET: event.set ?? '',
        DMIOFS_LEG: leg,
        DMIOFS_DEVICE: event.device ?? '',
        DMIOFS_ERRNO: event.errno ?? '',
        DMIOFS_TEXT: event.text,
        DMIOFS_JSON: JSON.stringify(event),
      },
    });
    return new Promise((resolve) => {
      const kill = (): void => {
        if (child.pid === undefined) return;
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch {
          // Gone already.
        }
      };
      let hung = false;
      const timer = setTimeout(() => {
        hung = true;
        problem(`${program} ${event.event} has not ended after ${String(timeout / 1000)} s: it is killed`);
        kill();
        setTimeout(resolve, KILL_MS);
      }, timeout);
      const ended = (message: string | undefined): void => {
        clearTimeout(timer);
        if (message !== undefined && !hung) problem(`${program} ${event.event}: ${message}`);
        resolve();
      };
      this.#abort = kill;
      child.on('error', (error) => {
        ended(error.message);
      });
      child.on('exit', (code, signal) => {
        ended(
          code === 0
            ? undefined
            : code === null
              ? `killed by ${String(signal)}`
              : `exit code ${String(code)}`,
        );
      });
    });
  }
}
