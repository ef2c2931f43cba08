// Programs that the benchmark starts: run to an end, or kept until they are stopped, and their CPU time and memory.
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const TICKS = 100; // USER_HZ of /proc: the same on every Linux that Node runs on
const running = new Set();

export class CommandError extends Error {}

/** Runs a program; resolves with its standard output. An error has what the program said. */
export function run(program, args, { timeout = 120_000, env = {}, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      {
        timeout,
        killSignal: 'SIGKILL',
        maxBuffer: 64 << 20,
        env: { ...process.env, ...env },
        ...(cwd ? { cwd } : {}),
      },
      (error, stdout, stderr) => {
        running.delete(child);
        if (error === null) return resolve(stdout);
        const text = stderr.trim() === '' ? stdout : stderr;
        const said = text.trim().split('\n').slice(0, 4).join(' | ').slice(0, 400);
        const why = error.killed ? `ended after ${timeout / 1000} s` : `exit ${error.code ?? error.signal}`;
        reject(new CommandError(`${program.replace(/^.*\//, '')}: ${why}${said === '' ? '' : `: ${said}`}`));
      },
    );
    running.add(child);
  });
}

/** A server that says `ready` on its standard output, or that `isReady` finds ready. Ended with SIGKILL if it does not end when asked. */
export async function serve(program, args, { isReady, env = {}, timeout = 30_000 } = {}) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true, // a Ctrl-C is the benchmark's to handle: in order
  });
  let said = '';
  let ready = false;
  child.stdout.on('data', (data) => {
    if (/^ready$/m.test((said += data))) ready = true;
  });
  child.stderr.on('data', (data) => (said += data));
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve((said += error.message)));
    child.on('close', resolve);
  });
  let over = false;
  void ended.then(() => (over = true));
  const end = performance.now() + timeout;
  while (!ready) {
    if (isReady?.()) break;
    if (over || performance.now() > end) {
      child.kill('SIGKILL');
      throw new CommandError(
        `${program.replace(/^.*\//, '')} does not start: ${said.trim().slice(-300) || 'no message'}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    pid: child.pid,
    /** `ask` tells it to end; waits for that. */
    stop: async (ask = () => child.kill('SIGTERM')) => {
      await ask();
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Ends what run() still waits for, before things are taken away under it. */
export function killRunning() {
  for (const child of running) child.kill('SIGKILL');
}

const text = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Seconds of CPU that a process and its threads have used, the kernel's work for them included. */
export function cpuSeconds(pid) {
  const fields = text(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields.length > 12 ? (Number(fields[11]) + Number(fields[12])) / TICKS : 0;
}

/** Bytes of memory of a process: resident, and of that its own (not files'). */
export function memoryOf(pid) {
  const status = text(`/proc/${pid}/status`);
  const value = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { resident: value('VmRSS'), anonymous: value('RssAnon'), peak: value('VmHWM') };
}

export const isRunning = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.errno === -constants.errno.EPERM;
  }
};
