/** `dmiofs monitor` beside real mounts: nothing is lost, nothing told twice, and nothing holds it up. */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { ReportedEvent } from '../../src/mirror/event-schema.js';
import { eventSchema } from '../../src/mirror/event-schema.js';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  DMIOFS,
  dmiofs,
  exists,
  must,
  type OneSet,
  oneSet,
  type Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const scenes: Scene[] = [];
async function mounted(options: Parameters<typeof oneSet>[0] = {}): Promise<OneSet> {
  const one = await oneSet({ ...options, set: { log: { region_size: 64 * 1024 }, ...options.set } });
  scenes.push(one.scene);
  return one;
}

class Watching {
  readonly child: ChildProcess;
  #out = '';
  #err = '';

  constructor(scene: Scene, ...args: readonly string[]) {
    this.child = scene.spawn(DMIOFS, ['monitor', '--json', ...args]);
    this.child.stdout?.on('data', (data: Buffer) => (this.#out += data.toString()));
    this.child.stderr?.on('data', (data: Buffer) => (this.#err += data.toString()));
  }
  get events(): readonly ReportedEvent[] {
    return this.#out
      .split('\n')
      .slice(0, -1)
      .map((line) => eventSchema.parse(JSON.parse(line)));
  }
  get kinds(): readonly string[] {
    return this.events.map(({ event, leg }) => (leg === null ? event : `${event} ${String(leg)}`));
  }
  get stderr(): string {
    return this.#err;
  }
  /** Waits for an event, and gives all up to now. */
  async saw(kind: string, times = 1): Promise<readonly string[]> {
    return until(`monitor tells ${kind}`, () =>
      this.kinds.filter((told) => told === kind).length >= times ? this.kinds : undefined,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; it told ${JSON.stringify(this.kinds)}\n${this.#err}`);
    });
  }
  async end(): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    return ended;
  }
}

/** A monitor that follows the set: it has told that the last leg was out before. */
async function following(one: OneSet, ...args: readonly string[]): Promise<Watching> {
  const out = String(one.legs.length - 1);
  await must(DMIOFS, 'fail', one.file, out);
  const watching = new Watching(one.scene, ...args);
  await watching.saw(`degraded-at-start ${out}`);
  return watching;
}

/** Two looks at all: whoever waits for this knows that what was told is all there is. */
const settled = (watching: Watching, { mountpoint, file }: OneSet): Promise<unknown> =>
  // A last event of our own, behind whatever else there is.
  sh(`setfattr -n user.dmio.control -v 'fail 1' ${file} || true; ls ${mountpoint}`).then(() =>
    watching.saw('leg-failed 1'),
  );

describe.skipIf(!canMount)('monitor', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('tells a failure, the resync of its return, each once; a set that was degraded before it came, too', async () => {
    const one = await mounted({ legs: 3 });
    const watching = await following(one, one.file);
    await must(DMIOFS, 'fail', one.file, '1');
    await watching.saw('leg-failed 1');
    await sh(`dd if=/dev/zero of=${one.file} bs=64k count=4 conv=notrunc oflag=direct status=none`);
    await must(DMIOFS, 're-add', one.file, '1');
    await watching.saw('resync-finished');
    await must(DMIOFS, 'wait', one.file);
    await settled(watching, one);
    expect(await watching.saw('leg-failed 1', 2)).toEqual([
      'degraded-at-start 2',
      'leg-failed 1',
      'resync-started',
      'resync-finished',
      'leg-failed 1',
    ]);
    const failed = watching.events.find(({ event }) => event === 'leg-failed');
    expect(failed).toMatchObject({ file: one.file, device: one.legs[1], errno: 'EIO', set: 'data' });
    expect(await watching.end()).toBe(0);
  });

  it('outlives umount, mount and a killed daemon: what happened meanwhile is told, once', async () => {
    const one = await mounted({ legs: 3 });
    const watching = await following(one, one.mountpoint);
    await must(DMIOFS, 'fail', one.file, '1');
    // Gone before the monitor looks again, or not: it is told all the same.
    await one.scene.umount(one.mountpoint);
    await one.scene.mount(one.config, one.mountpoint);
    await watching.saw('degraded-at-start 1');
    expect(watching.kinds.filter((kind) => kind === 'leg-failed 1')).toHaveLength(1);
    const { pid } = await one.scene.status(one.mountpoint);
    process.kill(pid, 'SIGKILL');
    await watching.saw('daemon-died');
    await one.scene.mount(one.config, one.mountpoint);
    await watching.saw('daemon-back');
    await watching.saw('degraded-at-start 1', 2);
    await must(DMIOFS, 're-add', one.file, '1');
    await must(DMIOFS, 'wait', one.file);
    await must(DMIOFS, 'fail', one.file, '1');
    const all = await watching.saw('leg-failed 1', 2);
    expect(all.filter((kind) => kind === 'degraded-at-start 1')).toHaveLength(2);
    expect(all.filter((kind) => kind === 'daemon-died')).toHaveLength(1);
  });

  it('tells a leg that fails again at once, though nothing had to be copied meanwhile', async () => {
    const one = await mounted();
    const watching = await following(one);
    await must(DMIOFS, 're-add', one.file, '1');
    await must(DMIOFS, 'wait', one.file);
    await must(DMIOFS, 'fail', one.file, '1');
    expect(await watching.saw('leg-failed 1')).toEqual(['degraded-at-start 1', 'leg-failed 1']);
  });

  it('tells how the legs change: one more, another device in the place of one, one less', async () => {
    const one = await mounted({ legs: 3 });
    const watching = await following(one, one.file);
    const [third, fourth] = [one.scene.image('c.img', one.bytes), one.scene.image('d.img', one.bytes)];
    await must(DMIOFS, 'remove', one.file, '2');
    await watching.saw('leg-removed 2');
    await must(DMIOFS, 'add', one.file, third);
    await must(DMIOFS, 'wait', one.file);
    await watching.saw('leg-added 2');
    // In-sync: the new device comes as a further leg, and takes the place when it holds everything.
    await must(DMIOFS, 'replace', one.file, '1', fourth);
    const told = await watching.saw('leg-replaced 1');
    expect(told.filter((kind) => kind.startsWith('leg-'))).toEqual([
      'leg-removed 2',
      'leg-added 2',
      'leg-added 3',
      'leg-replaced 1',
    ]);
    const devices = watching.events
      .filter(({ event }) => event.startsWith('leg-'))
      .map(({ device }) => device);
    expect(devices).toEqual([one.legs[2], third, fourth, fourth]);
  });

  it('waits for a mount that is not there yet, and takes all that it tells', async () => {
    const one = await mounted();
    await must(DMIOFS, 'fail', one.file, '0');
    await one.scene.umount(one.mountpoint);
    const watching = new Watching(one.scene, one.file);
    await until('it says that it waits', () => (watching.stderr.includes('waiting') ? true : undefined));
    await one.scene.mount(one.config, one.mountpoint);
    await watching.saw('degraded-at-start 0');
    await must(DMIOFS, 're-add', one.file, '0');
    await must(DMIOFS, 'wait', one.file);
    await settled(watching, one);
    expect(watching.kinds.filter((kind) => kind === 'degraded-at-start 0')).toHaveLength(1);
    expect(watching.kinds.filter((kind) => kind === 'leg-failed 0')).toHaveLength(0);
  });

  it('is not held up by a daemon that does not answer', async () => {
    const [hung, one] = [await mounted(), await mounted({ legs: 3 })];
    const watching = await following(one);
    const { pid } = await hung.scene.status(hung.mountpoint);
    process.kill(pid, 'SIGSTOP');
    try {
      await must(DMIOFS, 'fail', one.file, '1');
      await watching.saw('leg-failed 1');
      await watching.saw('daemon-hung');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await watching.saw('daemon-back');
    await must(DMIOFS, 'fail', hung.file, '0');
    await watching.saw('leg-failed 0');
    expect(watching.kinds.filter((kind) => kind === 'daemon-hung')).toHaveLength(1);
  });

  it('runs a program for each event, without a shell; one that fails or hangs is told, and stops nothing', async () => {
    const one = await mounted({ legs: 5 });
    const [program, out] = [one.scene.path('pro gram'), one.scene.path('out put')];
    writeFileSync(
      program,
      [
        '#!/bin/sh',
        `printf '%s|' "$#" "$@" "$DMIOFS_EVENT" "$DMIOFS_LEG" "$DMIOFS_SET" >> '${out}'`,
        `printf '\\n' >> '${out}'`,
        'case $3 in 1) exit 7;; 2) sleep 1000;; esac',
      ].join('\n'),
    );
    chmodSync(program, 0o755);
    const watching = await following(one, '--exec', program, '--exec-timeout', '1s', one.mountpoint);
    for (const leg of ['1', '2', '3']) await must(DMIOFS, 'fail', one.file, leg);
    const lines = await until('the program ran for all', () => {
      const text = exists(out) ? readFileSync(out, 'utf8').split('\n').slice(0, -1) : [];
      return text.length === 4 ? text : undefined;
    });
    expect(lines.slice(1)).toEqual(
      [1, 2, 3].map(
        (leg) =>
          `4|leg-failed|${one.file}|${String(leg)}|${one.legs[leg] ?? ''}|leg-failed|${String(leg)}|data|`,
      ),
    );
    expect(watching.stderr).toContain('exit code 7');
    expect(watching.stderr).toContain('has not ended after 1 s: it is killed');
    expect(children(watching.child.pid ?? 0)).toEqual([]);
    expect(await watching.end()).toBe(0);
  });

  it('tells what is wrong now and ends, with --oneshot; in words without --json', async () => {
    const one = await mounted();
    expect(await dmiofs('monitor', '--oneshot', one.file)).toMatchObject({ code: 0, stdout: '' });
    await must(DMIOFS, 'fail', one.file, '1');
    const { code, stdout } = await dmiofs('monitor', '--oneshot', one.file);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^[-0-9T:.]+Z degraded-at-start \S+\/data leg 1 \(\S+leg1.img\) EIO at sector 0\n$/,
    );
    await one.scene.umount(one.mountpoint);
    expect(await dmiofs('monitor', '--oneshot', one.file)).toMatchObject({ code: 1 });
    expect(await dmiofs('monitor', '--exec', '/no/such', one.file)).toMatchObject({ code: 1 });
  });

  it('ends when nobody reads it any more', async () => {
    const one = await mounted();
    const watching = await following(one);
    watching.child.stdout?.destroy();
    await must(DMIOFS, 're-add', one.file, '1');
    await must(DMIOFS, 'wait', one.file);
    await must(DMIOFS, 'fail', one.file, '1');
    await until('it ends', () => (isRunning(watching.child.pid ?? 0) ? undefined : true));
  });
});

/** Processes whose parent is this one, zombies too. */
function children(pid: number): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(pid);
      } catch {
        return false;
      }
    });
}
