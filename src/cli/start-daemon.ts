/** Starts the daemon in the background and waits until it says that the files can be used, or why not. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EXIT, ExitError } from './exit.js';

/** What the daemon writes to its ready pipe: one line. */
export interface ReadyMessage {
  readonly ok: boolean;
  readonly pid: number;
  /** Lines for stderr when not ok. */
  readonly message: string;
  readonly exitCode: number;
}

export const READY_FD = 3;

/** Resolves with the daemon's pid. `args`: the mount command's own, with the ready pipe added. */
export async function startDaemon(args: readonly string[]): Promise<number> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./run.js', import.meta.url)), ...args, '--ready-fd', String(READY_FD)],
    {
      detached: true, // a session of its own: it outlives the terminal
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: process.env['UV_THREADPOOL_SIZE'] ?? '16' },
    },
  );
  const pipe = child.stdio[READY_FD];
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    pipe?.on('data', (data: Buffer) => {
      text += data.toString('utf8');
      if (text.includes('\n')) resolve();
    });
    // 'close' comes after the pipe has ended and the exit code is known.
    child.on('close', resolve);
  });
  child.unref();
  if (pipe !== null && pipe !== undefined && 'destroy' in pipe) pipe.destroy();
  let message: ReadyMessage;
  try {
    message = JSON.parse(text) as ReadyMessage;
  } catch {
    process.stderr.write(
      `dmiofs: the daemon ended before it was ready (${child.exitCode === null ? `signal ${String(child.signalCode)}` : `exit ${String(child.exitCode)}`})\n`,
    );
    throw new ExitError(EXIT.internal);
  }
  if (!message.ok) {
    for (const line of message.message.split('\n')) process.stderr.write(`dmiofs: ${line}\n`);
    throw new ExitError(message.exitCode);
  }
  return message.pid;
}
