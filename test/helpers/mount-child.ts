/**
 * A mount served by a child process of the test (mount-child.mjs): the addon and fuse-native, without the daemon above them.
 * A file system is never touched by the process that serves it; when a test fails the child is killed, and with it every wait on the mount.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);

export interface ChildSet {
  readonly name: string;
  readonly legs: readonly string[];
  /** Sectors. */
  readonly count: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly truncate?: 'zero' | 'deny';
  readonly cache?: 'auto' | 'none';
  readonly readOnly?: boolean;
}

export interface ChildOptions {
  readonly mountpoint: string;
  readonly sets: readonly ChildSet[];
  readonly engine?: 'threads' | 'null';
  readonly allowOther?: boolean;
  /** Beside the usual ones. */
  readonly mountOptions?: readonly string[];
  /** What getxattr and listxattr of JavaScript answer. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Whether the process ends when the session does; default true. */
  readonly exitAtEnd?: boolean;
}

export interface ChildEvent {
  readonly event: 'mounted' | 'error' | 'told' | 'end' | 'set' | 'control';
  readonly message?: string;
  readonly mountpoint?: string;
  readonly text?: string;
}

interface Reply {
  readonly id: number;
  readonly value: unknown;
}

const TIMEOUT_MS = 20_000;

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = new Promise<never>((_resolve, reject) => {
    const handle = setTimeout(() => {
      reject(new Error(`${what}: not within ${String(TIMEOUT_MS)} ms`));
    }, TIMEOUT_MS);
    timer.signal.addEventListener('abort', () => {
      clearTimeout(handle);
    });
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

export class MountChild {
  readonly options: ChildOptions;
  readonly #process: ChildProcess;
  readonly events: ChildEvent[] = [];
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #wake: () => void = () => undefined;
  #lastId = 0;
  stderr = '';

  constructor(options: ChildOptions, env: NodeJS.ProcessEnv = {}) {
    this.options = options;
    this.#process = fork(fileURLToPath(new URL('./mount-child.mjs', import.meta.url)), {
      env: { ...process.env, ...env },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process.stderr?.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
    this.#process.on('exit', () => {
      this.#wake();
    });
    this.#process.on('message', (message) => {
      this.#take(message as ChildEvent | Reply);
    });
    this.#process.send(options);
  }

  #take(message: ChildEvent | Reply): void {
    if ('event' in message) this.events.push(message);
    else this.#waiting.get(message.id)?.(message.value);
    this.#wake();
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }
  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }
  /** `0`, `SIGSEGV`, ...; undefined while it runs. */
  get ending(): string | undefined {
    return this.alive ? undefined : (this.#process.signalCode ?? String(this.#process.exitCode));
  }

  count(event: ChildEvent['event']): number {
    return this.events.filter((one) => one.event === event).length;
  }

  /** The first event that matches, or an error when the process ends without it. */
  async event(wanted: (event: ChildEvent) => boolean): Promise<ChildEvent> {
    const wait = async (): Promise<ChildEvent> => {
      for (;;) {
        const found = this.events.find(wanted);
        if (found !== undefined) return found;
        if (!this.alive) throw new Error(`the mount's process ended: ${this.ending ?? ''}\n${this.stderr}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    return within('event', wait());
  }

  async mounted(): Promise<this> {
    const event = await this.event((one) => one.event === 'mounted' || one.event === 'error');
    if (event.event === 'error') throw new Error(`mount: ${event.message ?? ''}\n${this.stderr}`);
    return this;
  }

  async ask<T>(what: string, ...args: readonly unknown[]): Promise<T> {
    const id = ++this.#lastId;
    const reply = new Promise<unknown>((resolve) => this.#waiting.set(id, resolve));
    this.#process.send({ id, ask: what, args });
    return (await within(what, reply)) as T;
  }

  /** For a request that ends the process before it can answer. */
  tell(what: string, ...args: readonly unknown[]): void {
    this.#process.send({ id: 0, ask: what, args });
  }

  async exited(): Promise<string> {
    if (this.alive) await within('exit', once(this.#process, 'exit'));
    return this.ending ?? '';
  }

  /** Unmounts in order and waits for the process's own end. */
  async umount(): Promise<string> {
    await run('umount', [this.options.mountpoint]);
    return this.exited();
  }

  async kill(): Promise<void> {
    if (this.alive) {
      const exit = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exit;
    }
    await detach(this.options.mountpoint);
  }
}

export async function isMounted(mountpoint: string): Promise<boolean> {
  const escaped = mountpoint.replace(
    /[\\ \t\n]/g,
    (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').some((line) => line.split(' ')[4] === escaped);
}

/** `umount -l`, as often as something is mounted there. */
export async function detach(mountpoint: string): Promise<void> {
  while (await isMounted(mountpoint)) await run('umount', ['-l', mountpoint]);
}

/** A directory with image files and mountpoints; removed, with all that is mounted in it, by `close()`. */
export class MountBench {
  readonly directory: string;
  readonly #children: MountChild[] = [];
  #images = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<MountBench> {
    return new MountBench(await mkdtemp(join(tmpdir(), 'dmiofs-mount-')));
  }

  /** Sparse image files of `bytes`. */
  async images(many: number, bytes: number): Promise<readonly string[]> {
    const paths: string[] = [];
    for (let i = 0; i < many; i++) {
      const path = join(this.directory, `leg-${String(this.#images++)}.img`);
      const file = await open(path, 'wx');
      await file.truncate(bytes);
      await file.close();
      paths.push(path);
    }
    return paths;
  }

  async mountpoint(name = 'mnt'): Promise<string> {
    const path = join(this.directory, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  start(options: ChildOptions, env: NodeJS.ProcessEnv = {}): MountChild {
    const child = new MountChild(options, env);
    this.#children.push(child);
    return child;
  }

  /** One set `data` of two legs on `mnt`. */
  async mount(
    bytes: number,
    set: Partial<ChildSet> = {},
    options: Partial<ChildOptions> = {},
  ): Promise<MountChild> {
    const legs = await this.images(2, bytes);
    const sets = [{ name: 'data', legs, count: bytes / 512, ...set }];
    return this.start({ mountpoint: await this.mountpoint(), sets, ...options }).mounted();
  }

  /** Aborts the connection of what is mounted there, by a fusectl file system of our own. */
  async abort(mountpoint: string): Promise<void> {
    // Its name is the minor device number, which st_dev holds in two pieces (makedev(3)).
    const { dev } = await stat(mountpoint);
    const control = join(this.directory, 'fusectl');
    await mkdir(control, { recursive: true });
    await run('mount', ['-t', 'fusectl', 'fusectl', control]);
    try {
      await writeFile(join(control, String((dev & 0xff) | ((dev >>> 12) & 0xfff00)), 'abort'), '1');
    } finally {
      await run('umount', [control]);
    }
  }

  async close(): Promise<void> {
    for (const child of this.#children) await child.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}
