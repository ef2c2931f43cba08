/** The life of a mount, by the real command line: how it starts, how it ends, and what it leaves behind. */
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dmiofsMountOn } from '../../src/util/mountinfo.js';
import { isRunning } from '../../src/util/process.js';
import { canMount, DMIOFS, dmiofs, legBytes, MIB, must, run, Scene, sh, until } from '../helpers/mounted.js';

const BYTES = 4 * MIB;
let scene: Scene;
let config: string;
let mountpoint: string;
let file: string;

const legsEqual = (): boolean =>
  legBytes(scene.path('a.img'), BYTES).equals(legBytes(scene.path('b.img'), BYTES));
const ended = (pid: number): Promise<true> =>
  until(`daemon ${String(pid)} ends`, () => (isRunning(pid) ? undefined : true));
const gone = (): Promise<true> =>
  until('the mount is gone', () => (dmiofsMountOn(mountpoint) === undefined ? true : undefined));
const refused = async (...args: readonly string[]): Promise<string> => {
  const { code, stderr } = await dmiofs(...args);
  expect(code, stderr).not.toBe(0);
  expect(stderr).not.toMatch(/^\s+at /m); // a reason, never a stack
  return stderr;
};

/** Holds a file open until it is told to write one byte and close it. */
function holder(path: string): { readonly ready: Promise<unknown>; readonly finish: () => Promise<number> } {
  const script = [
    'import os, sys',
    'fd = os.open(sys.argv[1], os.O_RDWR)',
    'open(sys.argv[2], "w").close()',
    'import time',
    'while not os.path.exists(sys.argv[3]): time.sleep(0.02)',
    'os.pwrite(fd, b"last", 8192)',
    'os.fsync(fd)',
    'os.close(fd)',
  ].join('\n');
  const [opened, told] = [scene.path('opened'), scene.path('told')];
  const child = scene.spawn('python3', ['-c', script, path, opened, told], 'ignore');
  const ending = new Promise<number>((resolve) => {
    child.on('exit', (code) => {
      resolve(code ?? 255);
    });
  });
  return {
    ready: until('the file is open', () => (readdirSync(scene.dir).includes('opened') ? true : undefined)),
    finish: async () => {
      await sh(`touch ${told}`);
      return ending;
    },
  };
}

describe.skipIf(!canMount)('the life of a mount', () => {
  beforeEach(async () => {
    scene = new Scene();
    config = scene.config({ data: { regions: [{ device: './a.img' }, { device: './b.img' }], size: BYTES } });
    mountpoint = scene.folder('mnt');
    file = join(mountpoint, 'data');
    await must(DMIOFS, 'init', config);
  });
  afterEach(async () => {
    await scene.close();
  });

  describe('starts', () => {
    it('in the background: the files can be used when the command returns, and nothing of it is held', async () => {
      // As in a shell's $(...): an inherited pipe would keep it waiting for ever.
      const out = await sh(
        `x=$(${DMIOFS} mount ${config} ${mountpoint} 2>&1); stat -c %s ${file}; echo "[$x]"`,
      );
      expect(out).toBe(`${String(BYTES)}\n[]\n`);
      const { pid } = await scene.status(mountpoint);
      expect(readFileSync(`/proc/${String(pid)}/stat`, 'utf8').split(' ')[5]).toBe(String(pid)); // a session of its own
      expect(await must('readlink', `/proc/${String(pid)}/cwd`)).toBe('/\n');
      expect(await must('findmnt', '-no', 'FSTYPE,SOURCE', mountpoint)).toContain(`fuse.dmiofs ${config}`);
      await scene.umount(mountpoint);
      expect(isRunning(pid)).toBe(false);
    });

    it('in the foreground: serves, logs to stderr, and ends on SIGTERM', async () => {
      const child = scene.spawn(DMIOFS, ['mount', '--foreground', config, mountpoint]);
      let log = '';
      child.stderr?.on('data', (data: Buffer) => (log += data.toString()));
      const exit = new Promise<number | null>((resolve) => {
        child.on('exit', resolve);
      });
      await until('it says that it is mounted', () => (log.includes('mounted') ? true : undefined));
      await sh(`printf front | dd of=${file} conv=notrunc status=none`);
      child.kill('SIGTERM');
      expect(await exit).toBe(0);
      expect(dmiofsMountOn(mountpoint)).toBeUndefined();
      expect(legBytes(scene.path('b.img'), 5).toString()).toBe('front');
    });

    it('with a log that only its owner can read', async () => {
      await scene.mount(config, mountpoint);
      const logs = readdirSync(scene.path('state')).filter((name) => name.endsWith('.daemon.log'));
      expect(logs).toHaveLength(1);
      expect(statSync(join(scene.path('state'), logs[0] ?? '')).mode & 0o777).toBe(0o600);
      expect(scene.daemonLog()).toContain('mounted');
    });

    it('over what is in the folder, which is there again afterwards', async () => {
      writeFileSync(join(mountpoint, 'below'), 'kept');
      await scene.mount(config, mountpoint);
      expect(readdirSync(mountpoint)).toEqual(['data']);
      await scene.umount(mountpoint);
      expect(readFileSync(join(mountpoint, 'below'), 'utf8')).toBe('kept');
    });

    it('over another mount, which is there again afterwards, and stays when mounting fails', async () => {
      await must('mount', '-t', 'tmpfs', '-o', 'size=1m', 'other', mountpoint);
      writeFileSync(join(mountpoint, 'below'), 'kept');
      const tooLong = Array<string>(200).fill('noatime').join(',');
      expect(await refused('mount', config, mountpoint, '-o', tooLong)).toContain('options are too long');
      expect(readFileSync(join(mountpoint, 'below'), 'utf8')).toBe('kept');
      await scene.mount(config, mountpoint);
      expect(readdirSync(mountpoint)).toEqual(['data']);
      await scene.umount(mountpoint);
      expect(readFileSync(join(mountpoint, 'below'), 'utf8')).toBe('kept');
    });

    it('with the sets that are named only', async () => {
      config = scene.config(
        {
          one: { regions: [{ device: './c.img' }], size: BYTES },
          two: { regions: [{ device: './d.img' }], size: BYTES },
        },
        {},
        'two.yaml',
      );
      await must(DMIOFS, 'init', config);
      await scene.mount(config, mountpoint, '--set', 'two');
      expect(readdirSync(mountpoint)).toEqual(['two']);
      const other = scene.folder('other');
      await scene.mount(config, other, '-o', 'set=one');
      expect(readdirSync(other)).toEqual(['one']);
      await scene.umount(other);
      expect(await refused('mount', config, other, '--set', 'three')).toContain('three');
    });

    it('read-only with -o ro', async () => {
      await scene.mount(config, mountpoint, '-o', 'ro');
      expect((await run('bash', ['-c', `echo x >> ${file}`])).stderr).toContain('Read-only file system');
      expect((await scene.set(file)).read_only).toBe(true);
    });

    it('with the owner and the mode of -o uid, gid and umask', async () => {
      await scene.mount(config, mountpoint, '-o', 'allow_other,uid=12,gid=34,umask=0277');
      expect((await must('stat', '-c', '%a %u %g', file)).trim()).toBe('400 12 34');
      expect(await must('findmnt', '-no', 'OPTIONS', mountpoint)).toMatch(/default_permissions.*allow_other/);
    });
  });

  describe('is refused', () => {
    it('over the config itself', async () => {
      expect(await refused('mount', config, scene.dir)).toContain('config.yaml:1:1: the config lies under');
      expect(dmiofsMountOn(scene.dir)).toBeUndefined();
    });

    it('on a mountpoint that is not there, or is a file', async () => {
      expect(await refused('mount', config, scene.path('nowhere'))).toMatch(/nowhere.*(no such|not exist)/i);
      expect(await refused('mount', config, scene.path('a.img'))).toContain('not a folder');
    });

    it('before init has been run, and says so', async () => {
      const fresh = scene.config({ new: { regions: [{ device: './n.img' }], size: BYTES } }, {}, 'new.yaml');
      expect(await refused('mount', fresh, mountpoint)).toContain('dmiofs init');
      scene.image('n.img', BYTES);
      expect(await refused('mount', fresh, mountpoint)).toContain('dmiofs init');
    });

    it('with an option that does not exist', async () => {
      expect(await refused('mount', config, mountpoint, '-o', 'allow_othr')).toContain('allow_othr');
    });

    it('on a mountpoint that serves already, by any of its names; the first mount goes on', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      const link = scene.path('link');
      symlinkSync(mountpoint, link);
      for (const name of [mountpoint, `${mountpoint}/`, link]) {
        const said = await refused('mount', config, name);
        expect(said).toContain('already mounted');
        expect(said).toContain(String(pid));
      }
      await sh(`printf still | dd of=${file} conv=notrunc status=none`);
    });

    it('of the same config at a second place: its legs are in use', async () => {
      await scene.mount(config, mountpoint);
      const second = scene.folder('second');
      expect(await refused('mount', config, second)).toMatch(/in use|locked|already/);
      expect(readdirSync(second)).toEqual([]);
      expect(dmiofsMountOn(second)).toBeUndefined();
      await sh(`printf still | dd of=${file} conv=notrunc status=none`);
      // Once the first has ended, it may be there.
      await scene.umount(mountpoint);
      await scene.mount(config, second);
    });

    it('with 32, in front as in the background, and with 1 for wrong usage', async () => {
      const bad = scene.path('bad.yaml');
      await sh(`sed s/regions/regons/ ${config} > ${bad}`);
      for (const where of [[], ['--foreground']]) {
        expect(await dmiofs('mount', ...where, bad, mountpoint)).toMatchObject({
          code: 32,
          stderr: expect.stringMatching(/bad\.yaml:\d+:\d+: .*regons/) as string,
        });
        expect((await dmiofs('mount', ...where, config, scene.path('nowhere'))).code).toBe(32);
        expect((await dmiofs('mount', ...where, config, mountpoint, '-o', 'allow_othr')).code).toBe(1);
        expect((await dmiofs('mount', ...where, config)).code).toBe(1);
      }
    });

    it('and then leaves nothing: the next mount works', async () => {
      const bad = scene.path('bad.yaml');
      await sh(`sed s/a.img/missing.img/ ${config} > ${bad}`);
      await refused('mount', bad, mountpoint, '-o', 'nonsense');
      await refused('mount', scene.path('no-config.yaml'), mountpoint);
      await scene.mount(config, mountpoint);
    });
  });

  describe('ends', () => {
    it('by dmiofs umount: clean, so that nothing is copied at the next start', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      await sh(`head -c 1M /dev/urandom | dd of=${file} conv=notrunc status=none`);
      await scene.umount(mountpoint);
      expect(isRunning(pid)).toBe(false);
      expect(legsEqual()).toBe(true);
      expect(scene.daemonLog()).toContain('stopped');
      await scene.mount(config, mountpoint);
      const set = await scene.set(file);
      expect(set.dirty).toBe(0);
      expect(set.sync).toMatchObject({ action: 'idle', done: set.sync.total });
      expect(scene.daemonLog()).not.toContain('resync-started');
    });

    it('by umount(8)', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      await sh(`head -c 1M /dev/urandom | dd of=${file} conv=notrunc status=none`);
      await must('umount', mountpoint);
      await ended(pid);
      expect(legsEqual()).toBe(true);
      await scene.mount(config, mountpoint);
      expect((await scene.set(file)).dirty).toBe(0);
    });

    it('by SIGTERM and by SIGINT', async () => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        const { pid } = await scene.mount(config, mountpoint);
        await sh(`head -c 1M /dev/urandom | dd of=${file} conv=notrunc status=none`);
        process.kill(pid, signal);
        await ended(pid);
        expect(dmiofsMountOn(mountpoint)).toBeUndefined();
        expect(legsEqual()).toBe(true);
      }
      await scene.mount(config, mountpoint);
      expect((await scene.set(file)).dirty).toBe(0);
    });

    it('not while a file is open: umount says so and changes nothing', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      const fd = openSync(file, 'r+');
      try {
        const said = await refused('umount', mountpoint);
        expect(said).toContain('in use');
        expect(said).toContain('fuser');
        writeSync(fd, 'still here', 0);
        expect(isRunning(pid)).toBe(true);
      } finally {
        closeSync(fd);
      }
      await scene.umount(mountpoint);
      expect(legBytes(scene.path('b.img'), 10).toString()).toBe('still here');
    });

    it.each([
      ['SIGTERM', (pid: number) => sh(`kill -TERM ${String(pid)}`)],
      ['umount -l', () => must('umount', '-l', mountpoint)],
    ] as const)('by %s with a file open: it is served until its last close', async (_how, end) => {
      const { pid } = await scene.mount(config, mountpoint);
      const user = holder(file);
      await user.ready;
      await end(pid);
      await gone();
      expect(isRunning(pid)).toBe(true);
      expect(await user.finish()).toBe(0);
      await ended(pid);
      expect(legBytes(scene.path('a.img'), BYTES).subarray(8192, 8196).toString()).toBe('last');
      expect(legsEqual()).toBe(true);
      await scene.mount(config, mountpoint);
      expect((await scene.set(file)).dirty).toBe(0);
    });

    it('at once by a second SIGTERM, with a file open; no acknowledged write is lost', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      const user = holder(file);
      await user.ready;
      await sh(`head -c 1M /dev/urandom > ${scene.path('data')}`);
      await sh(`dd if=${scene.path('data')} of=${file} bs=64k oflag=direct conv=notrunc status=none`);
      process.kill(pid, 'SIGTERM');
      await gone();
      process.kill(pid, 'SIGTERM');
      await ended(pid);
      expect(await user.finish()).not.toBe(0);
      await scene.mount(config, mountpoint);
      await must('cmp', '-n', String(MIB), scene.path('data'), file);
    });

    it('of what is not mounted is an error that says how to find what is', async () => {
      expect(await refused('umount', mountpoint)).toContain('dmiofs status');
      expect(await refused('status', mountpoint)).toContain('not a mountpoint');
    });
  });

  describe('after a kill -9 of the daemon', () => {
    it('is told as dead by status, taken away by umount', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      process.kill(pid, 'SIGKILL');
      await ended(pid);
      // ENOTCONN, or ECONNABORTED for what was asked while the kernel ended the connection.
      expect((await run('stat', [file])).stderr).toMatch(/endpoint is not connected|connection abort/);
      const said = await dmiofs('status', mountpoint);
      expect(said.code).not.toBe(0);
      expect(said.stderr).toContain('has died');
      await scene.umount(mountpoint);
      expect(dmiofsMountOn(mountpoint)).toBeUndefined();
    });

    it('is mounted again in one step, also with files open on the dead mount; what was acknowledged is there', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      await sh(`head -c 1M /dev/urandom > ${scene.path('data')}`);
      const fd = openSync(file, 'r+');
      try {
        await sh(`dd if=${scene.path('data')} of=${file} bs=64k oflag=direct conv=notrunc status=none`);
        process.kill(pid, 'SIGKILL');
        await ended(pid);
        const again = await scene.mount(config, mountpoint);
        expect(again.pid).not.toBe(pid);
        expect(() => writeSync(fd, 'x')).toThrow(/ENOTCONN|ECONNABORTED/);
      } finally {
        expect(() => {
          closeSync(fd);
        }).toThrow('ENOTCONN');
      }
      await must('cmp', '-n', String(MIB), scene.path('data'), file);
      await must(DMIOFS, 'wait', file);
      await scene.umount(mountpoint);
      expect(legsEqual()).toBe(true);
    });

    it('is not hindered by a stale pid file, or by a pid that is another program’s by now', async () => {
      const { pid } = await scene.mount(config, mountpoint);
      process.kill(pid, 'SIGKILL');
      await ended(pid);
      const folder = scene.path('state/run');
      const [name] = readdirSync(folder).filter((entry) => entry.endsWith('.pid'));
      await sh(`echo ${String(process.pid)} > ${join(folder, name ?? '')}`);
      await scene.mount(config, mountpoint);
    });
  });

  it('is found by a file of it that was bound to another place, which is no mount of its own', async () => {
    await scene.mount(config, mountpoint);
    const bound = scene.image('bound', 0);
    await must('mount', '--bind', file, bound);
    expect((await scene.set(bound)).name).toBe('data');
    expect(await dmiofs('pause', bound)).toMatchObject({ code: 0 });
    expect((await scene.set(file)).sync.paused).toBe(true);
    for (const command of [['status'], ['metrics'], ['monitor', '--oneshot']]) {
      const { stdout, stderr } = await dmiofs(...command);
      expect(`${stdout}${stderr}`).not.toContain(bound);
      expect(stderr).not.toContain('unexpected');
    }
    await must('umount', bound);
  });

  it('that is bound to another folder goes on when that is unmounted', async () => {
    const { pid } = await scene.mount(config, mountpoint);
    const bound = scene.folder('bound');
    await must('mount', '--bind', mountpoint, bound);
    await scene.umount(bound);
    expect(isRunning(pid)).toBe(true);
    await scene.umount(mountpoint);
    expect(isRunning(pid)).toBe(false);
  });

  it.skipIf(!existsSync('/dev/full'))('says what could not be printed', async () => {
    await scene.mount(config, mountpoint);
    const { code, stderr } = await run('bash', ['-c', `${DMIOFS} status ${mountpoint} > /dev/full`]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('could not be written: ENOSPC')]);
    expect((await run('bash', ['-c', `${DMIOFS} status ${mountpoint} | true; exit $PIPESTATUS`])).code).toBe(
      0,
    );
  });

  it('answers twenty readers of its attributes at once', async () => {
    await scene.mount(config, mountpoint);
    const results = await Promise.all(
      Array.from({ length: 20 }, () => run('getfattr', ['-d', '--absolute-names', file])),
    );
    for (const { code, stdout } of results) {
      expect(code).toBe(0);
      expect(stdout).toContain('user.dmio.status="state=complete');
    }
  });
});
