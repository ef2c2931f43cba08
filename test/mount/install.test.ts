/** scripts/install: what it puts in place works from there, whatever the caller's PATH, and goes away again without a trace. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canMount, legBytes, MIB, must, run, Scene, sh, why } from '../helpers/mounted.js';

const INSTALL = fileURLToPath(new URL('../../scripts/install', import.meta.url));
const BYTES = 4 * MIB;

let scene: Scene;
let dest: string;
const at = (path: string): string => join(dest, path);
const install = (...args: readonly string[]): Promise<string> =>
  must(INSTALL, `--destdir=${dest}`, '--prefix=/opt/mirror', ...args);
const everything = async (): Promise<readonly string[]> =>
  (await must('find', dest, '-mindepth', '1', '-printf', '%y %P %l\n')).split('\n').sort();

beforeEach(() => {
  scene = new Scene();
  dest = scene.folder('dest');
});
afterEach(async () => {
  await scene.close();
});

describe('scripts/install', () => {
  it('puts in place what the manual says, readable by all, and the links by which mount(8) finds its helper', async () => {
    await install();
    for (const path of [
      'opt/mirror/bin/dmiofs',
      'opt/mirror/sbin/mount.dmiofs',
      'opt/mirror/lib/dmiofs/build/Release/dmiofs.node',
      'opt/mirror/lib/systemd/system/dmiofs@.service',
      'opt/mirror/lib/tmpfiles.d/dmiofs.conf',
      'opt/mirror/share/doc/dmiofs/README.md',
      'opt/mirror/share/doc/dmiofs/config/two-disks.yaml',
      'opt/mirror/share/doc/dmiofs/docs/operations.md',
      'etc/dmiofs',
    ]) {
      expect([path, existsSync(at(path))]).toEqual([path, true]);
    }
    const pages = (await must('find', at('opt/mirror/share/doc'), '-name', '*.md')).trim().split('\n');
    for (const page of pages)
      for (const [, link = ''] of readFileSync(page, 'utf8').matchAll(/\]\(([^)#\s]+)/g))
        if (!link.startsWith('http'))
          expect([page, link, existsSync(join(dirname(page), link))]).toEqual([page, link, true]);
    const sbin = (await must('readlink', '-f', '/sbin')).trim();
    for (const name of ['mount.dmiofs', 'mount.fuse.dmiofs'])
      expect(readlinkSync(at(join(sbin, name)))).toBe('/opt/mirror/lib/dmiofs/bin/mount.dmiofs');
    const unit = readFileSync(at('opt/mirror/lib/systemd/system/dmiofs@.service'), 'utf8');
    expect(unit).toContain('ExecStart=/opt/mirror/bin/dmiofs mount');
    expect(unit).not.toContain('/usr/local');
    expect(await must('find', dest, '!', '-type', 'l', '!', '-perm', '-444')).toBe('');
    // What only a developer needs stays out.
    for (const name of ['typescript', 'vitest', 'eslint', 'node-gyp'])
      expect(existsSync(at(`opt/mirror/lib/dmiofs/node_modules/${name}`))).toBe(false);
  });

  it('is gone without a trace after --uninstall; a second time it says that nothing is there', async () => {
    writeFileSync(at('before'), '');
    const before = await everything();
    await install();
    await install('--uninstall');
    expect(await everything()).toEqual(before);
    const again = await run(INSTALL, [`--destdir=${dest}`, '--prefix=/opt/mirror', '--uninstall']);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('nothing is installed');
  });

  it('leaves what is not its own', async () => {
    await install();
    const config = at('etc/dmiofs/data.yaml');
    writeFileSync(config, 'version: 1\n');
    const out = await install('--uninstall');
    expect(out).toContain('left: /etc/dmiofs');
    expect(readdirSync(dest)).toEqual(['etc']);
    expect(existsSync(config)).toBe(true);
  });

  it('replaces what an older one has put there', async () => {
    await install();
    const fresh = await everything();
    const old = 'opt/mirror/lib/dmiofs/dist/old.js';
    writeFileSync(at(old), '');
    const manifest = at('opt/mirror/lib/dmiofs/manifest');
    writeFileSync(manifest, `${readFileSync(manifest, 'utf8')}file /${old}\n`);
    const inode = statSync(at('opt/mirror/lib/dmiofs/build/Release/dmiofs.node')).ino;
    await install();
    expect(await everything()).toEqual(fresh);
    // A daemon that runs keeps its own.
    expect(statSync(at('opt/mirror/lib/dmiofs/build/Release/dmiofs.node')).ino).not.toBe(inode);
    await install('--uninstall');
    expect(await everything()).toEqual(['']);
  });

  it('refuses what it does not understand, and changes nothing', async () => {
    for (const args of [['--prefix=relative'], ['--prefix=/'], ['--no-such'], ['word']]) {
      const { code, stderr } = await run(INSTALL, [`--destdir=${dest}`, ...args]);
      expect([args, code]).toEqual([args, 2]);
      expect(stderr).toMatch(/^install: /);
    }
    expect(await everything()).toEqual(['']);
  });

  it.skipIf(!canMount)(
    `runs from there, with a mount, without a PATH${canMount ? '' : ` (${why})`}`,
    async () => {
      await install();
      const config = scene.config({
        data: { regions: [{ device: './a.img' }, { device: './b.img' }], size: BYTES },
      });
      const mountpoint = scene.folder('mnt');
      const command = at('opt/mirror/bin/dmiofs');
      await must('env', '-i', 'PATH=/usr/sbin:/usr/bin', command, 'init', config);
      await must(at('opt/mirror/sbin/mount.dmiofs'), config, mountpoint, '-o', 'rw,noatime');
      await sh(`printf installed | dd of=${mountpoint}/data conv=notrunc status=none`);
      const { pid } = await scene.status(mountpoint);
      expect(readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')).toContain(
        at('opt/mirror/lib/dmiofs/dist'),
      );
      await must('env', '-i', command, 'umount', mountpoint);
      expect(legBytes(scene.path('b.img'), 9).toString()).toBe('installed');
    },
  );
});
