/**
 * Legs that hang, for real: a file of nbdfuse whose nbdkit server is stopped. Nothing that the set's users do waits longer than
 * `io_timeout` and a moment, and what the device answers later harms nobody.
 */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  dmiofs,
  exists,
  legBytes,
  MIB,
  must,
  type OneSet,
  run,
  Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const BYTES = 16 * MIB;
const tools = (await run('bash', ['-c', 'command -v nbdkit nbdfuse fio'])).code === 0;

/** A leg that is served by a program of its own, which can be stopped. */
class RemoteLeg {
  readonly path: string;
  readonly image: string;
  readonly #scene: Scene;

  constructor(scene: Scene, name: string) {
    this.#scene = scene;
    this.image = scene.image(`${name}.img`, BYTES);
    this.path = scene.path(name);
  }

  async serve(...filters: readonly string[]): Promise<void> {
    const socket = `${this.path}.sock`;
    const [pidfile, nbdfuse] = [`${this.path}.nbdkit`, `${this.path}.nbdfuse`];
    const [names, options] = [
      filters.filter((f) => !f.includes('=')),
      filters.filter((f) => f.includes('=')),
    ];
    await must(
      'nbdkit',
      '--pidfile',
      pidfile,
      '--unix',
      socket,
      ...names.map((name) => `--filter=${name}`),
      'file',
      this.image,
      ...options,
    );
    await sh(`touch ${this.path}`);
    this.#scene.spawn(
      'nbdfuse',
      ['--pidfile', nbdfuse, this.path, `nbd+unix:///?socket=${socket}`],
      'ignore',
    );
    await until('nbdfuse serves', () => exists(nbdfuse) || undefined);
  }

  #pid(of: 'nbdkit' | 'nbdfuse'): number {
    const file = `${this.path}.${of}`;
    return exists(file) ? Number(readFileSync(file, 'utf8')) : 0;
  }

  stop(): void {
    process.kill(this.#pid('nbdkit'), 'SIGSTOP');
  }

  go(): void {
    process.kill(this.#pid('nbdkit'), 'SIGCONT');
  }

  async end(): Promise<void> {
    const pid = this.#pid('nbdkit');
    if (pid > 0 && isRunning(pid)) {
      this.go();
      process.kill(pid, 'SIGTERM');
    }
    await run('umount', ['-l', this.path]);
  }
}

describe.skipIf(!canMount || !tools)('a leg that hangs', () => {
  let scene: Scene;
  let remote: RemoteLeg;
  let one: OneSet;

  beforeEach(() => {
    scene = new Scene();
    remote = new RemoteLeg(scene, 'remote');
  });
  afterEach(async () => {
    await remote.end();
    await scene.close();
  });

  /** Legs: a local image, and the remote one. */
  const mount = async (set: object = {}, remoteFirst = false): Promise<void> => {
    const local = scene.path('local.img');
    const legs = remoteFirst ? [remote.path, local] : [local, remote.path];
    const config = scene.config({
      data: {
        regions: legs.map((device) => ({ device })),
        size: BYTES,
        io_timeout: '1s',
        log: { region_size: 65536 },
        ...set,
      },
    });
    const mountpoint = scene.folder('mnt');
    await must('truncate', '-s', String(BYTES), local);
    await sh(`${new URL('../../bin/dmiofs', import.meta.url).pathname} init --assume-clean ${config}`);
    await scene.mount(config, mountpoint);
    one = { scene, file: `${mountpoint}/data`, mountpoint, config, legs, bytes: BYTES };
  };
  const states = async (): Promise<string> =>
    (await scene.set(one.file)).legs.map(({ state }) => state).join();
  const local = (): string => scene.path('local.img');
  const equal = (): boolean => legBytes(remote.image, BYTES).equals(legBytes(local(), BYTES));

  /** The slowest of the reads and writes of a while, in seconds, and all errors; `during` runs meanwhile. */
  const load = async (
    options: readonly string[],
    during: () => Promise<void>,
  ): Promise<{ readonly slowest: number; readonly errors: number }> => {
    const ran = run('fio', [
      '--name=load',
      `--filename=${one.file}`,
      '--bs=4k',
      `--size=${String(BYTES)}`,
      '--direct=1',
      '--time_based',
      '--runtime=6',
      '--continue_on_error=all',
      '--output-format=json',
      ...options,
    ]);
    await until('the load runs', async () => {
      const { legs } = await scene.set(one.file);
      return legs.some(({ reads, writes }) => reads + writes > 50) || undefined;
    });
    await during();
    const { stdout, stderr } = await ran;
    const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      jobs: readonly {
        total_err: number;
        read: { clat_ns: { max: number } };
        write: { clat_ns: { max: number } };
      }[];
    };
    const [job] = jobs;
    if (job === undefined) throw new Error(`fio: ${stderr}`);
    return {
      slowest: Math.max(job.read.clat_ns.max, job.write.clat_ns.max) / 1e9,
      errors: job.total_err,
    };
  };

  it('is taken out under writers, who see no error; comes back when it answers, and gets what it missed', async () => {
    await remote.serve();
    await mount();
    const { errors } = await load(['--rw=randrw', '--iodepth=1'], async () => {
      remote.stop();
      await until('the leg is out', async () => ((await states()) === 'in-sync,failed' ? true : undefined));
    });
    expect(errors).toBe(0);
    const status = await scene.set(one.file);
    expect(status.legs[1]?.last_error?.errno).toBe('ETIMEDOUT');
    expect(status.late_ios).toBeGreaterThan(0);
    expect((await dmiofs('re-add', one.file, '1')).code).not.toBe(0);
    remote.go();
    await until('it owes nothing', async () =>
      (await scene.set(one.file)).late_ios === 0 ? true : undefined,
    );
    await must(dmiofsPath, 're-add', one.file, '1');
    await must(dmiofsPath, 'wait', one.file);
    expect(await states()).toBe('in-sync,in-sync');
    await scene.umount(one.mountpoint);
    expect(equal()).toBe(true);
  });

  it('holds a reader up once at most, then the others serve it as before', async () => {
    await remote.serve();
    await mount({ read_policy: 'round-robin' });
    const { errors } = await load(['--rw=randread'], async () => {
      remote.stop();
      await until('the leg is out', async () => ((await states()) === 'in-sync,failed' ? true : undefined));
    });
    expect(errors).toBe(0);
    const before = (await scene.set(one.file)).legs[0]?.reads ?? 0;
    await must('dd', `if=${one.file}`, 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none');
    expect((await scene.set(one.file)).legs[0]?.reads).toBeGreaterThan(before);
  });

  it('that is the last one gives EIO in time, and serves again when it answers', async () => {
    await remote.serve();
    await mount({}, true);
    await must(dmiofsPath, 'fail', one.file, '1');
    remote.stop();
    const read = await run('dd', [`if=${one.file}`, 'of=/dev/null', 'bs=4k', 'count=1', 'iflag=direct']);
    expect(read.stderr).toContain('Input/output error');
    remote.go();
    await until(
      'it is read again',
      async () =>
        (await run('dd', [`if=${one.file}`, 'of=/dev/null', 'bs=4k', 'count=1', 'iflag=direct'])).code ===
          0 || undefined,
    );
    expect(await states()).toBe('in-sync,failed');
  });

  it('does not hold umount up, nor the status', async () => {
    await remote.serve();
    await mount();
    remote.stop();
    await sh(`dd if=/dev/zero of=${one.file} bs=4k count=1 oflag=direct conv=notrunc status=none`);
    expect(await states()).toBe('in-sync,failed');
    await must('umount', one.mountpoint);
    expect((await run('mountpoint', ['-q', one.mountpoint])).code).not.toBe(0);
    remote.go();
    await until('the daemon has ended', () => (scene.daemonLog().includes('"stopped"') ? true : undefined));
    await scene.mount(one.config, one.mountpoint);
    expect(await states()).toBe('in-sync,failed');
  });

  it('that is slow but answers in time stays', async () => {
    await remote.serve('delay', 'wdelay=100ms', 'rdelay=100ms');
    await mount();
    await sh(`dd if=/dev/urandom of=${one.file} bs=64k count=8 oflag=direct conv=notrunc status=none`);
    expect(await states()).toBe('in-sync,in-sync');
    await scene.umount(one.mountpoint);
    expect(equal()).toBe(true);
  });

  it('with errors here and there is repaired or taken out, and nobody sees it', async () => {
    await remote.serve('error', 'error-pread=EIO', 'error-pread-rate=20%');
    await mount({ read_policy: 'round-robin' });
    await sh(`dd if=/dev/urandom of=${scene.path('d')} bs=1M count=4 status=none
      dd if=${scene.path('d')} of=${one.file} bs=256k oflag=direct conv=notrunc status=none`);
    await must('cmp', '-n', String(4 * MIB), scene.path('d'), one.file);
    const set = await scene.set(one.file);
    expect(set.legs[0]?.state).toBe('in-sync');
    expect(set.legs[1]?.read_errors).toBeGreaterThan(0);
  });
});

const dmiofsPath = new URL('../../bin/dmiofs', import.meta.url).pathname;
