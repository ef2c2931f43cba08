/** mount.dmiofs, called by the real mount(8): command lines, lines of an fstab, what mount(8) does to a mount afterwards, and exit codes. */
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dmiofsMountOn } from '../../src/util/mountinfo.js';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  DMIOFS,
  legBytes,
  MIB,
  must,
  type Ran,
  run,
  Scene,
  sh,
  until,
  why,
} from '../helpers/mounted.js';

const HELPER = fileURLToPath(new URL('../../bin/mount.dmiofs', import.meta.url));
const LINKS = ['/sbin/mount.dmiofs', '/sbin/mount.fuse.dmiofs'];
const BYTES = 4 * MIB;

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
/** Another dmiofs is installed here: it is not touched. */
const foreign = LINKS.some((link) => exists(link) && realpathSync(link) !== realpathSync(HELPER));
const reason = foreign ? 'another mount.dmiofs is installed in /sbin' : why;
const hasUsers = ['fusermount3', 'setpriv', 'unshare'].every(
  (program) => existsSync(`/usr/bin/${program}`) || existsSync(`/bin/${program}`),
);

let scene: Scene;
let config: string;
let mountpoint: string;
let file: string;

const mount = (...args: readonly string[]): Promise<Ran> => run('mount', ['-t', 'dmiofs', ...args]);
const mounted = async (...args: readonly string[]): Promise<void> => {
  const { code, stderr } = await mount(...args);
  expect(code, stderr).toBe(0);
};
const show = async (columns: string): Promise<string> =>
  (await must('findmnt', '-no', columns, mountpoint)).trim().replace(/ +/g, ' ');
const flags = async (): Promise<readonly string[]> => (await show('OPTIONS')).split(',');

function fstab(...lines: readonly string[]): string {
  const path = scene.path('fstab');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

describe.skipIf(!canMount || foreign)(`mount.dmiofs${canMount && !foreign ? '' : ` (${reason})`}`, () => {
  const made: string[] = [];
  beforeAll(() => {
    for (const link of LINKS) {
      if (exists(link)) continue;
      symlinkSync(HELPER, link);
      made.push(link);
    }
  });
  afterAll(() => {
    for (const link of made) rmSync(link, { force: true });
  });

  beforeEach(async () => {
    scene = new Scene();
    config = scene.config({
      data: { regions: [{ device: './a.img' }, { device: './b.img' }], size: BYTES },
      'with,comma': { regions: [{ device: './c.img' }, { device: './d.img' }], size: BYTES },
    });
    mountpoint = scene.folder('mnt');
    file = join(mountpoint, 'data');
    await must(DMIOFS, 'init', config);
  });
  afterEach(async () => {
    await scene.close();
  });

  describe('mount -t dmiofs', () => {
    it('returns when the files can be used; findmnt, df and umount know the mount', async () => {
      await mounted(config, mountpoint);
      await sh(`printf mounted | dd of=${file} conv=notrunc status=none`);
      expect(await show('SOURCE,FSTYPE')).toBe(`${config} fuse.dmiofs`);
      expect(await must('df', '--output=source,fstype,size', '-B1', mountpoint)).toMatch(
        new RegExp(`${config} +fuse.dmiofs +${String(2 * BYTES)}`),
      );
      const { pid } = await scene.status(mountpoint);
      await must('umount', mountpoint);
      await until('the daemon ends', () => (isRunning(pid) ? undefined : true));
      expect(legBytes(scene.path('b.img'), 7).toString()).toBe('mounted');
      expect(dmiofsMountOn(mountpoint)).toBeUndefined();
    });

    it('does not keep a pipe of its caller open', async () => {
      expect(await sh(`x=$(mount -t dmiofs ${config} ${mountpoint} 2>&1); echo "[$x]"`)).toBe('[]\n');
    });

    it.each([
      ['nosuid,nodev,noexec,noatime', ['nosuid', 'nodev', 'noexec', 'noatime']],
      ['exec,relatime', ['relatime', 'nosuid', 'nodev']],
      ['ro', ['ro']],
      ['allow_other', ['allow_other', 'default_permissions']],
      ['user', ['nosuid', 'nodev', 'noexec']],
      ['sync', ['sync']],
    ])('-o %s becomes the mount’s flags', async (options, expected) => {
      await mounted(config, mountpoint, '-o', options);
      const found = await flags();
      for (const flag of expected) expect(found).toContain(flag);
      expect(found.includes('noexec')).toBe(expected.includes('noexec'));
      expect(found).toContain(expected.includes('ro') ? 'ro' : 'rw');
    });

    it('passes over what is for others: fstab’s, systemd’s and the kernel’s own', async () => {
      const options =
        'defaults,auto,noauto,nofail,_netdev,users,owner,group,relatime,lazytime,x-systemd.automount,' +
        'x-systemd.requires=a.service,X-mount.mkdir,comment=words,nosymfollow,silent';
      await mounted(config, mountpoint, '-o', options);
      expect(await flags()).toContain('rw');
    });

    it('knows its own options; a name with a comma stands in quotes', async () => {
      await mounted(config, mountpoint, '-o', 'uid=12,gid=34,umask=0277,set="with,comma"');
      expect(readdirSync(mountpoint)).toEqual(['with,comma']);
      expect(await must('stat', '-c', '%u %g %a', join(mountpoint, 'with,comma'))).toBe('12 34 400\n');
    });

    it('-f does nothing, -fv says what it would do', async () => {
      await mounted('-f', config, mountpoint);
      const { code, stdout } = await mount('-fv', config, mountpoint);
      expect([code, stdout]).toEqual([0, `mount.dmiofs: ${config} would be mounted on ${mountpoint}\n`]);
      expect(dmiofsMountOn(mountpoint)).toBeUndefined();
    });

    it('-v says who serves, -n changes nothing, -s passes over unknown options', async () => {
      const { code, stdout } = await mount('-n', '-s', '-v', '-o', 'no_such=1', config, mountpoint);
      expect(code).toBe(0);
      const { pid } = await scene.status(mountpoint);
      expect(stdout).toBe(`mount.dmiofs: ${config} mounted on ${mountpoint}, served by pid ${String(pid)}\n`);
    });

    it('finds its node with the PATH that mount(8) has at boot, and with none', async () => {
      for (const path of ['/sbin:/bin', '']) {
        await must('env', '-i', `PATH=${path}`, '/bin/mount', '-t', 'dmiofs', config, mountpoint);
        await must('umount', mountpoint);
      }
    });

    it('after umount(8) waits for the daemon that still flushes', async () => {
      const rules = JSON.stringify([
        { device: scene.path('a.img'), ops: ['flush'], action: 'delay', delayMs: 700 },
      ]);
      await scene.mount(config, mountpoint, '--fault-rules', rules);
      await sh(`printf late | dd of=${file} conv=notrunc status=none`);
      await must('umount', mountpoint);
      await mounted(config, mountpoint);
      expect(readFileSync(file).subarray(0, 4).toString()).toBe('late');
      expect((await scene.set(file)).dirty).toBe(0);
    });

    it('remounts read-only and back, with the data in place', async () => {
      await mounted(config, mountpoint);
      await sh(`printf remount | dd of=${file} conv=notrunc status=none`);
      await must('mount', '-o', 'remount,ro,noexec', mountpoint);
      expect(await flags()).toEqual(expect.arrayContaining(['ro', 'noexec']));
      expect((await run('dd', ['if=/dev/zero', `of=${file}`, 'count=1', 'conv=notrunc'])).stderr).toContain(
        'Read-only',
      );
      await must('mount', '-o', 'remount,rw', mountpoint);
      await sh(`dd if=/dev/zero of=${file} bs=1 count=1 seek=7 conv=notrunc status=none`);
      expect(readFileSync(file).subarray(0, 7).toString()).toBe('remount');
    });
  });

  describe('a line of an fstab', () => {
    it('is mounted by mount -a; a second time does no harm', async () => {
      const table = fstab(`${config} ${mountpoint} dmiofs defaults,nofail,_netdev,x-systemd.requires=x 0 0`);
      await must('mount', '-T', table, '-a');
      const { pid } = await scene.status(mountpoint);
      expect(await must('mount', '-T', table, '-av')).toContain('already mounted');
      expect((await scene.status(mountpoint)).pid).toBe(pid);
      await sh(`printf x | dd of=${file} conv=notrunc status=none`);
    });

    it('names its config by a link, and with a space in its path', async () => {
      const folder = scene.folder('a b');
      const link = join(folder, 'link.yaml');
      symlinkSync(config, link);
      const table = fstab(`${link.replace(' ', '\\040')} ${mountpoint} dmiofs noauto,set=data 0 0`);
      await must('mount', '-T', table, '-a');
      expect(dmiofsMountOn(mountpoint)).toBeUndefined(); // noauto
      await must('mount', '-T', table, mountpoint);
      expect(readdirSync(mountpoint)).toEqual(['data']);
      await must('umount', mountpoint);
      await must('mount', '-T', fstab(readFileSync(table, 'utf8').replace('noauto,', '')), '-a');
      expect(await must('mount', '-T', table, '-av')).not.toContain('mounted on');
    });

    it('that fails beside one that works: 64, and the one that works is mounted', async () => {
      const table = fstab(
        `${scene.path('none.yaml')} ${scene.folder('other')} dmiofs defaults 0 0`,
        `${config} ${mountpoint} dmiofs defaults 0 0`,
      );
      const { code, stderr } = await run('mount', ['-T', table, '-a']);
      expect(code).toBe(64);
      expect(stderr).toContain('none.yaml');
      expect(dmiofsMountOn(mountpoint)).toBeDefined();
    });
  });

  describe('fails with mount(8)’s codes and a reason', () => {
    it('1 for a wrong command line or option', async () => {
      for (const args of [[], [config], [config, mountpoint, 'third'], [config, mountpoint, '-x']]) {
        const { code, stderr } = await run(HELPER, args);
        expect(code).toBe(1);
        expect(stderr).toContain('usage: mount.dmiofs');
      }
      for (const option of ['bogus', 'uid=me', 'umask=9', 'set=', 'modules=x', 'set']) {
        const { code, stderr } = await mount('-o', option, config, mountpoint);
        expect([option, code]).toEqual([option, 1]);
        expect(stderr).toContain(`-o ${option}`);
      }
    });

    it('32 for what cannot be mounted; the mount that is there goes on', async () => {
      expect((await mount(scene.path('none.yaml'), mountpoint)).code).toBe(32);
      expect((await mount(config, scene.path('nowhere'))).code).toBe(32);
      expect((await mount(config, config)).code).toBe(32);
      const broken = scene.path('broken.yaml');
      await sh(`sed s/regions/regons/ ${config} > ${broken}`);
      const wrong = await mount(broken, mountpoint);
      expect(wrong.code).toBe(32);
      expect(wrong.stderr).toMatch(/^mount.dmiofs: .*broken.yaml:\d+:\d+.*regons/m);
      expect(readdirSync(mountpoint)).toEqual([]);
      await mounted(config, mountpoint);
      const again = await mount(config, mountpoint);
      expect(again.code).toBe(32);
      expect(again.stderr).toContain('already mounted');
      expect(readdirSync(mountpoint)).toHaveLength(2);
    });

    it('8 when it is interrupted, and leaves nothing mounted', async () => {
      // A config that never comes: the daemon waits for it.
      const slow = scene.path('slow.fifo');
      await must('mkfifo', slow);
      const child = scene.spawn(HELPER, [slow, mountpoint]);
      let said = '';
      child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
      const exit = new Promise<number | null>((resolve) => {
        child.on('exit', resolve);
      });
      const daemon = await until('its daemon starts', async () => {
        const { stdout } = await run('pgrep', ['-f', '--', ` mount ${slow} `]);
        return stdout === '' ? undefined : Number(stdout);
      });
      child.kill('SIGINT');
      expect(await exit).toBe(8);
      expect(said).toContain('interrupted');
      expect(dmiofsMountOn(mountpoint)).toBeUndefined();
      await until('its daemon ends', () => (isRunning(daemon) ? undefined : true));
    });
  });

  it.skipIf(!hasUsers)(
    'a user who is not root mounts and unmounts a line with `user`, by fusermount3',
    async () => {
      // In a mount namespace of its own: another fstab, and a /dev/fuse that is open to all, as on any machine with udev.
      const home = scene.folder('home');
      for (const name of ['a.img', 'b.img']) copyFileSync(scene.path(name), join(home, name));
      const [own, point] = [join(home, 'own.yaml'), join(home, 'mnt')];
      mkdirSync(point);
      await sh(
        `sed -e '/comma/,$d' -e 's,state_dir.*,state_dir: ./state,' ${config} > ${own}; rm ${home}/*.img`,
      );
      const table = fstab(`${own} ${point} dmiofs noauto,user 0 0`);
      const out = await must(
        'unshare',
        '--mount',
        '--propagation=private',
        'bash',
        '-euo',
        'pipefail',
        '-c',
        `
      chmod 755 ${scene.dir}; chown -R 65534:65534 ${home}
      mount -t tmpfs tmpfs /mnt; mknod -m 666 /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse
      touch /etc/fstab; mount --bind ${table} /etc/fstab
      as() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=${home} "$@"; }
      as ${DMIOFS} init ${own} >/dev/null
      trap 'umount -l ${point} 2>/dev/null || true' EXIT
      as mount ${point}
      findmnt -no OPTIONS ${point}
      as sh -c 'printf user | dd of=${point}/data conv=notrunc status=none'
      cat ${point}/data 2>&1 || true
      pid=$(as ${DMIOFS} status --json ${point} | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')
      as umount ${point}
      timeout 20 tail --pid=$pid -f /dev/null
      `,
      );
      expect(out).toMatch(/nosuid,nodev,noexec.*user_id=65534/);
      expect(out).toContain('Permission denied'); // root too: no allow_other
      for (const name of ['a.img', 'b.img']) expect(legBytes(join(home, name), 4).toString()).toBe('user');
    },
  );
});
