/**
 * Several processes read and write one small range through a real mount while legs leave, come back, are replaced, hang and are compared, and
 * while the daemon dies: what they saw is what one file without legs could have shown. A write that was in flight when the daemon died is there
 * or not, from then on for ever.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import { type Operation, whyNotLinearizable } from '../helpers/history.js';
import {
  canMount,
  DMIOFS,
  legsEqual,
  MIB,
  must,
  type OneSet,
  oneSet,
  sh,
  until,
} from '../helpers/mounted.js';

const CLIENT = fileURLToPath(new URL('./history-client.mjs', import.meta.url));
const CLIENTS = 4;
const CELLS = 256;
/** More than a client writes in one go. */
const VALUES = 1_000_000;

const operation = (
  kind: 'W' | 'R' | 'w',
  began: number,
  ended: number,
  value: number | readonly number[],
  first = 0,
): Operation => ({
  write: kind !== 'R',
  failed: kind === 'w',
  began,
  ended,
  first,
  values: typeof value === 'number' ? [value] : value,
});

describe('the check of a history', () => {
  const problem = (...operations: readonly Operation[]): string =>
    whyNotLinearizable(operations, 4) ?? 'linearizable';

  it('takes what one order explains', () => {
    expect(
      problem(
        operation('R', 0, 1, 0),
        operation('W', 2, 9, 1),
        operation('W', 3, 8, 2),
        operation('R', 4, 5, 2),
        operation('R', 6, 7, 1),
        operation('w', 10, 20, 3),
        operation('R', 11, 12, 1),
        operation('R', 13, 14, 3),
        operation('w', 15, 20, 4),
        operation('R', 21, 22, 3),
      ),
    ).toBe('linearizable');
  });

  it('finds a stale read, a lost write, one that comes and goes, one that comes late, and a torn one', () => {
    expect(problem(operation('W', 0, 1, 1), operation('R', 2, 3, 0), operation('R', 4, 5, 1))).toContain('0');
    expect(
      problem(
        operation('W', 0, 1, 1),
        operation('W', 2, 3, 2),
        operation('R', 4, 5, 2),
        operation('R', 6, 7, 1),
      ),
    ).toContain('both there at once');
    expect(
      problem(
        operation('W', 0, 1, 1),
        operation('w', 2, 20, 2),
        operation('R', 3, 4, 2),
        operation('R', 21, 22, 1),
      ),
    ).toContain('was there while 1');
    expect(
      problem(
        operation('W', 0, 1, 1),
        operation('w', 2, 10, 2),
        operation('R', 11, 12, 1),
        operation('R', 13, 14, 2),
      ),
    ).toContain('both there at once');
    expect(problem(operation('R', 0, 1, 5))).toContain('never written');
    expect(problem(operation('R', 0, 1, 5), operation('W', 2, 3, 5))).toContain('before it was written');
    expect(
      problem(operation('W', 0, 5, [1, 1]), operation('W', 0, 5, [2, 2]), operation('R', 6, 7, [1, 2])),
    ).toContain('a part of 1');
    expect(
      problem(operation('W', 0, 5, [1, 1]), operation('W', 0, 5, [2, 2], 1), operation('R', 6, 7, [1, 2, 2])),
    ).toBe('linearizable');
  });
});

/** The clients of one set over its mounts, and all that they have seen. */
class Clients {
  readonly #set: OneSet;
  readonly #operations: Operation[] = [];
  readonly problems: string[] = [];
  #nextValue = 0;
  #stopFiles = 0;
  #failed: Operation[] = [];

  constructor(set: OneSet) {
    this.#set = set;
  }

  get seen(): number {
    return this.#operations.length;
  }

  #line(line: string): void {
    const [kind = '', began, ended, first, ...runs] = line.split(' ');
    if (kind !== 'W' && kind !== 'R' && kind !== 'w') {
      this.problems.push(line);
      return;
    }
    const values = runs.flatMap((run) => {
      const [value, count] = run.split('*').map(Number);
      return new Array<number>(count ?? 0).fill(value ?? 0);
    });
    const one = { ...operation(kind, Number(began), Number(ended), values), first: Number(first) };
    (kind === 'w' ? this.#failed : this.#operations).push(one);
  }

  /** Clients run while `during` does. They end by themselves when the daemon dies. */
  async run(during: () => Promise<void>, writes = 50): Promise<void> {
    const stopFile = this.#set.scene.path(`stop${String(this.#stopFiles++)}`);
    const ended = Array.from({ length: CLIENTS }, (_, index) => {
      const first = this.#nextValue;
      this.#nextValue += VALUES;
      const child = this.#set.scene.spawn(process.execPath, [
        CLIENT,
        this.#set.file,
        String(index),
        String(first),
        String(CELLS),
        String(writes),
        stopFile,
      ]);
      let rest = '';
      child.stdout?.on('data', (data: Buffer) => {
        const lines = (rest + data.toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#line(line);
      });
      child.stderr?.on('data', (data: Buffer) => this.problems.push(data.toString()));
      return new Promise<void>((resolve) => {
        child.on('close', () => {
          resolve();
        });
      });
    });
    try {
      await this.more();
      await during();
    } finally {
      await sh(`touch ${stopFile}`);
      await Promise.all(ended);
    }
    // The daemon they ran on is there, or has ended: nothing that failed on it takes effect any more.
    const now = Number(process.hrtime.bigint());
    for (const one of this.#failed.splice(0)) this.#operations.push({ ...one, ended: now });
  }

  /** Waits until they have done some more. */
  async more(): Promise<void> {
    const before = this.seen;
    await until('the clients go on', () => this.seen > before + 400 || undefined);
  }

  /** Waits until they do nothing more. */
  async stuck(): Promise<void> {
    let [before, looks] = [-1, 0];
    await until('the clients are stuck', () => {
      looks = this.seen === before ? looks + 1 : 0;
      before = this.seen;
      return looks > 20 || undefined;
    });
  }

  /** Problems but for errors, which the end of a daemon explains. */
  unexpected(): readonly string[] {
    return this.problems.filter((problem) => !problem.startsWith('E E'));
  }

  check(): void {
    expect(whyNotLinearizable(this.#operations, CELLS)).toBeUndefined();
  }
}

let open: OneSet | undefined;
afterEach(async () => {
  await open?.scene.close();
  open = undefined;
});

async function three(set: object = {}): Promise<{ one: OneSet; clients: Clients }> {
  const one = await oneSet({
    legs: 3,
    bytes: 4 * MIB,
    set: { read_policy: 'round-robin', io_timeout: '1s', log: { region_size: '4KiB' }, ...set },
  });
  open = one;
  return { one, clients: new Clients(one) };
}

describe.skipIf(!canMount)('what several processes see of one range', () => {
  const kill = async (pid: number): Promise<void> => {
    process.kill(pid, 'SIGKILL');
    await until('the daemon ends', () => !isRunning(pid) || undefined);
  };
  /** Mounts again with a fault rule; the daemon's pid. */
  const remount = async (one: OneSet, rule: object): Promise<number> => {
    await one.scene.umount(one.mountpoint);
    const { pid } = await one.scene.mount(
      one.config,
      one.mountpoint,
      '--fault-rules',
      JSON.stringify([rule]),
    );
    return pid;
  };
  const verb = (one: OneSet, name: string, ...args: readonly string[]): Promise<string> =>
    must(DMIOFS, name, one.file, ...args);

  it('is one file, while legs fail, come back, are replaced and compared', async () => {
    const { one, clients } = await three();
    const spare = one.scene.image('spare.img', one.bytes);
    await clients.run(async () => {
      await verb(one, 'fail', '0');
      await clients.more();
      // Held, so that much is not in sync for long: what was not copied must not be seen.
      await verb(one, 'pause');
      await verb(one, 're-add', '0');
      await clients.more();
      await verb(one, 'resume');
      await verb(one, 'wait');
      await verb(one, 'replace', '1', spare);
      await verb(one, 'wait');
      await verb(one, 'scrub', '--repair');
      await clients.more();
    });
    expect(clients.problems).toEqual([]);
    expect((await one.scene.set(one.file)).state).toBe('complete');
    clients.check();
    await one.scene.umount(one.mountpoint);
    expect(legsEqual({ ...one, legs: [one.legs[0] ?? '', spare, one.legs[2] ?? ''] })).toBe(true);
  });

  it('is one file while a leg hangs, and after the daemon died', async () => {
    const { one, clients } = await three();
    const pid = await remount(one, {
      device: one.legs[0],
      action: 'hang',
      ops: ['read', 'write'],
      skip: 300,
    });
    await clients.run(async () => {
      await until('the leg is out', async () =>
        (await one.scene.set(one.file)).legs[0]?.state === 'failed' ? true : undefined,
      );
      await clients.more();
      await kill(pid);
    });
    await one.scene.mount(one.config, one.mountpoint);
    await clients.run(async () => {
      await verb(one, 're-add', '0');
      await verb(one, 'wait');
      await clients.more();
    });
    clients.check();
    expect(clients.unexpected()).toEqual([]);
    expect((await one.scene.set(one.file)).state).toBe('complete');
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });

  it('is one file over a daemon that dies with writes that only some legs have', async () => {
    const { one, clients } = await three({ io_timeout: '1m' });
    for (const leg of [0, 1]) {
      const pid = await remount(one, {
        device: one.legs[leg],
        action: 'hang',
        ops: ['write'],
        skip: 300,
        times: CLIENTS,
      });
      await verb(one, 'pause');
      await clients.run(async () => {
        // One write of each has reached the other legs only, or waits for one that has.
        await clients.stuck();
        await kill(pid);
      });
      await one.scene.mount(one.config, one.mountpoint);
      // Held, with the legs as they are, and mostly looked at: none of what was in flight comes and goes.
      await clients.run(() => clients.more(), 3);
      await verb(one, 'resume');
      await verb(one, 'wait');
    }
    clients.check();
    expect(clients.unexpected()).toEqual([]);
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });
});
