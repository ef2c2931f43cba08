/** Starts the daemon in the background and waits until it says that the files can be used, or why not. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EXIT } from './exit.js';

/** What the daemon writes to its ready pipe: one line. */
export interface ReadyMessage {
  readonly ok: boolean;
  readonly pid: number;
  /** Lines for stderr when not ok. */
  readonly message: string;
  readonly exitCode: number;
}

const READY_FD = 3;

/**
 * `args`: the mount command's own, to which the ready pipe is added. When `interrupt` is aborted before the daemon is ready, it is ended, and
 * the message says so. Never rejects for what the daemon did.
 */
export async function startDaemon(args: readonly string[], interrupt?: AbortSignal): Promise<ReadyMessage> {
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
  interrupt?.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
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
  try {
    return JSON.parse(text) as ReadyMessage;
  } catch {
    const how =
      child.exitCode === null ? `signal ${String(child.signalCode)}` : `exit ${String(child.exitCode)}`;
    return {
      ok: false,
      pid: child.pid ?? 0,
      message: `the daemon ended before it was ready (${how})`,
      exitCode: EXIT.internal,
    };
  }
}
