/**
 * A mount made by the real command line, with everything it needs in a folder of its own, and everything taken away again also when the test
 * fails: mounts (a hung one is aborted), loop devices, processes by pid.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { MountStatus, SetStatus } from '../../src/mirror/status.js';
import { mounts } from '../../src/util/mountinfo.js';
import { isRunning } from '../../src/util/process.js';

export const MIB = 1024 * 1024;
const TIMEOUT_MS = 60_000;
export const DMIOFS = fileURLToPath(new URL('../../bin/dmiofs', import.meta.url));

export const canMount = process.geteuid?.() === 0 && existsSync('/dev/fuse');
export const why = 'needs root and /dev/fuse';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, killed after a minute; never throws for its exit code. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Record<string, string>; readonly timeout?: number } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      [...args],
      {
        timeout: options.timeout ?? TIMEOUT_MS,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * MIB,
        env: { ...process.env, ...options.env },
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255;
        resolve({ code, stdout, stderr: error !== null && stderr === '' ? error.message : stderr });
      },
    );
    // A program that reads nothing may be gone before this.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** The same, and an error with all that it said when it fails. */
export async function must(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${String(code)}\n${stdout}${stderr}`);
  return stdout;
}

export const sh = (script: string): Promise<string> => must('bash', '-euo', 'pipefail', '-c', script);
export const dmiofs = (...args: readonly string[]): Promise<Ran> => run(DMIOFS, args);

/** Waits until `look` finds what it looks for; an error with `what` when it never comes. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  milliseconds = 30_000,
): Promise<T> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The folder of one test: what is made through it goes with it. */
export class Scene {
  readonly dir: string;
  readonly #loops: string[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #pids = new Set<number>();

  constructor() {
    this.dir = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-'));
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** A sparse file. */
  image(name: string, bytes: number): string {
    const path = this.path(name);
    writeFileSync(path, '');
    truncateSync(path, bytes);
    return path;
  }

  folder(name: string): string {
    const path = this.path(name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  async loop(file: string, ...options: readonly string[]): Promise<string> {
    const device = (await must('losetup', '--find', '--show', ...options, file)).trim();
    this.#loops.push(device);
    return device;
  }

  async dropLoop(device: string): Promise<void> {
    await must('losetup', '--detach', device);
    this.#loops.splice(this.#loops.indexOf(device), 1);
  }

  spawn(program: string, args: readonly string[], stdio: 'pipe' | 'ignore' = 'pipe'): ChildProcess {
    const child = spawn(program, [...args], { stdio: ['ignore', stdio, stdio] });
    this.#children.push(child);
    return child;
  }

  /** A config file of these sets. */
  config(sets: Readonly<Record<string, object>>, extra: object = {}, name = 'config.yaml'): string {
    const path = this.path(name);
    writeFileSync(path, stringify({ version: 1, state_dir: './state', ...extra, sets }));
    return path;
  }

  /** init and mount; the daemon is remembered, to be ended with the scene. */
  async mount(config: string, mountpoint: string, ...options: readonly string[]): Promise<MountStatus> {
    const made = await dmiofs('mount', config, mountpoint, ...options);
    if (made.code !== 0) throw new Error(`mount: exit ${String(made.code)}: ${made.stderr}`);
    const status = await this.status(mountpoint);
    this.#pids.add(status.pid);
    return status;
  }

  /** The daemon of a mount that someone else made is ended with the scene. */
  async adopt(mountpoint: string): Promise<void> {
    this.#pids.add((await this.status(mountpoint)).pid);
  }

  async status(path: string): Promise<MountStatus> {
    const { stdout, stderr } = await dmiofs('status', '--json', path);
    const [status] = JSON.parse(stdout === '' ? '[]' : stdout) as MountStatus[];
    if (status === undefined) throw new Error(`status ${path}: ${stderr}`);
    return status;
  }

  async set(file: string): Promise<SetStatus> {
    const [set] = (await this.status(file)).sets;
    if (set === undefined) throw new Error(`no set at ${file}`);
    return set;
  }

  async umount(mountpoint: string): Promise<void> {
    const ended = await dmiofs('umount', mountpoint);
    if (ended.code !== 0) throw new Error(`umount: exit ${String(ended.code)}: ${ended.stderr}`);
  }

  daemonLog(): string {
    return execFileSync('bash', ['-c', `cat ${this.path('state')}/*.daemon.log 2>/dev/null || true`], {
      encoding: 'utf8',
    });
  }

  /** Takes everything away. A mount that hangs is aborted: whoever waits on it is freed. */
  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    const mine = mounts().filter(({ mountpoint }) => mountpoint.startsWith(`${this.dir}/`));
    for (const { mountpoint, type, device } of mine.reverse()) {
      if (type === 'fuse.dmiofs') {
        for (const pid of this.#pids) if (isRunning(pid)) process.kill(pid, 'SIGTERM');
        const connection = device.split(':')[1] ?? '';
        await run('umount', ['-l', mountpoint]);
        await until(
          'the daemons end',
          () => ([...this.#pids].some(isRunning) ? undefined : true),
          10_000,
        ).catch(() => {
          const abort = `/sys/fs/fuse/connections/${connection}/abort`;
          if (existsSync(abort)) writeFileSync(abort, '1');
          for (const pid of this.#pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
        });
      } else {
        await run('umount', ['-l', mountpoint]);
      }
    }
    for (const pid of this.#pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    for (const loop of this.#loops) await run('losetup', ['--detach', loop]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** One set over image files, mounted: what most tests need. */
export interface OneSet {
  readonly scene: Scene;
  readonly file: string;
  readonly mountpoint: string;
  readonly config: string;
  readonly legs: readonly string[];
  readonly bytes: number;
}

export interface OneSetOptions {
  readonly legs?: number;
  readonly bytes?: number;
  /** Further keys of the set. */
  readonly set?: object;
  readonly extra?: object;
  readonly mountOptions?: readonly string[];
}

export async function oneSet(options: OneSetOptions = {}): Promise<OneSet> {
  const scene = new Scene();
  const bytes = options.bytes ?? 16 * MIB;
  const legs = Array.from({ length: options.legs ?? 2 }, (_, index) => scene.path(`leg${String(index)}.img`));
  const config = scene.config(
    { data: { regions: legs.map((device) => ({ device })), size: bytes, ...options.set } },
    options.extra,
  );
  const mountpoint = scene.folder('mnt');
  try {
    await must(DMIOFS, 'init', config);
    await scene.mount(config, mountpoint, ...(options.mountOptions ?? []));
  } catch (error) {
    await scene.close();
    throw error;
  }
  return { scene, file: join(mountpoint, 'data'), mountpoint, config, legs, bytes };
}

/** All of a leg's part of the set. */
export function legBytes(path: string, bytes: number, sector = 0): Buffer {
  const data = readFileSync(path);
  return data.subarray(sector * 512, sector * 512 + bytes);
}

export function legsEqual({ legs, bytes }: OneSet): boolean {
  const [first, ...others] = legs.map((leg) => legBytes(leg, bytes));
  return first !== undefined && others.every((other) => other.equals(first));
}

export const exists = (path: string): boolean => {
  try {
    statSync(path);
    return true;
  } catch {
    return false;
  }
};
