/** What SECURITY.md promises and only a mount can show. */
import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, dmiofs, MIB, must, oneSet, run, Scene, sh } from '../helpers/mounted.js';

const scenes: Scene[] = [];
const NOBODY = 65534;

describe.skipIf(!canMount)('another user', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('cannot read what the daemon keeps', async () => {
    const one = await oneSet();
    scenes.push(one.scene);
    const state = one.scene.path('state');
    const all = readdirSync(state, { recursive: true, encoding: 'utf8' }).map((name) => join(state, name));
    expect(all.length).toBeGreaterThan(2);
    for (const path of [state, ...all]) {
      const { mode } = statSync(path);
      expect([path, (mode & 0o077).toString(8)]).toEqual([path, '0']);
    }
    for (const leg of one.legs) expect(statSync(leg).mode & 0o077).toBe(0);
    chmodSync(one.scene.dir, 0o755);
    const looked = await run('setpriv', [`--reuid=${String(NOBODY)}`, '--clear-groups', 'cat', one.file]);
    expect(looked.code).not.toBe(0);
  });

  it('cannot give the daemon a state folder', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const mountpoint = scene.folder('mnt');
    const config = scene.config({ s: { regions: [{ device: scene.image('a.img', MIB) }] } });
    await must(
      'bash',
      '-c',
      `"$0" init --assume-clean ${config}`,
      new URL('../../bin/dmiofs', import.meta.url).pathname,
    );
    const state = scene.path('state');
    chmodSync(state, 0o777);
    const open = await dmiofs('mount', config, mountpoint);
    expect(open.code).not.toBe(0);
    expect(open.stderr).toMatch(/state_dir: .* can be written by others \(mode 0777\): chmod go-w/);
    chmodSync(state, 0o700);
    chownSync(state, NOBODY, NOBODY);
    expect((await dmiofs('mount', config, mountpoint)).stderr).toContain('belongs to user 65534');
    chownSync(state, 0, 0);
    await scene.mount(config, mountpoint);
  });

  it('cannot have a log written through a link', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const victim = scene.path('victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, scene.path('s.log'));
    const config = scene.config({
      s: { regions: [{ device: scene.image('a.img', MIB) }], log: { path: './s.log' } },
    });
    expect((await dmiofs('init', config)).code).not.toBe(0);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(lstatSync(scene.path('s.log')).isSymbolicLink()).toBe(true);
  });
});

describe.skipIf(!canMount)("users' data", () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('are in no core file and no log', async () => {
    const one = await oneSet();
    scenes.push(one.scene);
    const marker = 'sEcReT-mArKeR-0123456789';
    await sh(`printf %s ${marker} | dd of=${one.file} conv=notrunc status=none`);
    await sh(`dd if=${one.file} bs=4k count=1 status=none | grep -q ${marker}`);
    const { pid } = await one.scene.status(one.mountpoint);
    // Not dumpable: its /proc entries belong to root, and no other process of its user may look into it.
    const dumpable = await run('bash', [
      '-c',
      `setpriv --reuid=0 --inh-caps=-all --bounding-set=-all cat /proc/${String(pid)}/environ`,
    ]);
    expect(dumpable.code).not.toBe(0);
    expect(one.scene.daemonLog()).not.toContain(marker);
  });
});
