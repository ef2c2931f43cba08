/** `dmiofs status` of real mounts: the table, the map, the picture; beside a resync, a hung leg and mounts in trouble. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { MAP_CELLS, type SyncMapText } from '../../src/mirror/sync-map.js';
import {
  canMount,
  DMIOFS,
  dmiofs,
  MIB,
  must,
  type OneSet,
  oneSet,
  type Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const REGION = 64 * 1024;
const scenes: Scene[] = [];
async function mounted(options: Parameters<typeof oneSet>[0] = {}): Promise<OneSet> {
  const one = await oneSet({ ...options, set: { log: { region_size: REGION }, ...options.set } });
  scenes.push(one.scene);
  return one;
}
const mapOf = async (file: string): Promise<SyncMapText> =>
  JSON.parse(
    await must('getfattr', '--absolute-names', '--only-values', '-n', 'user.dmio.map', file),
  ) as SyncMapText;

describe.skipIf(!canMount)('status', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('maps what is clean, dirty, not in sync and being copied', async () => {
    const one = await mounted({ legs: 3 });
    expect(await mapOf(one.file)).toEqual({
      version: 1,
      sync_regions: one.bytes / REGION,
      per_cell: 1,
      cells: MAP_CELLS.clean.repeat(one.bytes / REGION),
    });
    await must(DMIOFS, 'fail', one.file, '1');
    await sh(`dd if=/dev/urandom of=${one.file} bs=1M seek=4 count=4 conv=notrunc oflag=direct status=none`);
    const dirty = (await mapOf(one.file)).cells;
    expect(dirty.slice(64, 128)).toBe(MAP_CELLS.dirty.repeat(64));
    expect(dirty.slice(128)).toBe(MAP_CELLS.clean.repeat(128));
    await must(DMIOFS, 'pause', one.file);
    await must(DMIOFS, 're-add', one.file, '1');
    expect((await mapOf(one.file)).cells.slice(64, 128)).toBe(MAP_CELLS['not in sync'].repeat(64));
    const svg = one.scene.path('map.svg');
    const { stdout, code } = await dmiofs('status', '--map', '--svg', svg, one.file);
    expect(code).toBe(1);
    expect(stdout).toContain('frozen');
    expect(stdout).toMatch(/^ {4}\.{64}#{12}$/m); // 80 columns where there is no terminal
    expect(stdout).toContain('a character: one sync region, 64.0 KiB');
    expect(readFileSync(svg, 'utf8')).toContain('not in sync: sync regions 64 to 127');
    const waited = await dmiofs('wait', one.file, '--timeout', '1s');
    expect(waited).toMatchObject({
      code: 1,
      stderr:
        'dmiofs: data: sync actions are paused: dmiofs resume lets it go on\ndmiofs: data: still paused after 1s\n',
    });
    await must(DMIOFS, 'resume', one.file);
    await must(DMIOFS, 'wait', one.file);
    expect((await mapOf(one.file)).cells).not.toContain(MAP_CELLS['not in sync']);
  });

  it('answers while a resync runs, and while a leg hangs with the writer that waits for it', async () => {
    const one = await mounted({ bytes: 32 * MIB, set: { io_timeout: 0 } });
    for (const [args, wrong] of [
      [[], 'give --min RATE, --max RATE or both'],
      [['--min', 'fast'], '--min: "fast" is no rate: bytes a second are wanted, such as 4MiB'],
      [['--min', '2MiB', '--max', '1MiB'], 'the minimum, 2MiB, is above the maximum, 1MiB'],
    ] as const)
      expect(await dmiofs('speed', one.file, ...args)).toMatchObject({
        code: 1,
        stderr: `dmiofs: ${wrong}\n`,
      });
    await must(DMIOFS, 'speed', one.file, '--max', '1MiB', '--min', '1MiB');
    await must(DMIOFS, 'fail', one.file, '1');
    await sh(`dd if=/dev/urandom of=${one.file} bs=1M count=16 conv=notrunc oflag=direct status=none`);
    await must(DMIOFS, 're-add', one.file, '1');
    const { stdout } = await dmiofs('status', one.file);
    expect(stdout).toMatch(/recover [█░]{24} [0-9]+ %, .*\/s, .* left/);
    await one.scene.umount(one.mountpoint);

    const rule = { action: 'hang', device: one.legs[1], ops: ['write'] };
    await one.scene.mount(one.config, one.mountpoint, '--fault-rules', JSON.stringify([rule]));
    const writer = one.scene.spawn('dd', [
      'if=/dev/zero',
      `of=${one.file}`,
      'bs=64k',
      'seek=400',
      'count=1',
      'oflag=direct',
      'conv=notrunc',
    ]);
    const set = await until('the write waits for the leg', async () => {
      const found = await one.scene.set(one.file);
      return found.in_flight > 0 ? found : undefined;
    });
    expect(set.legs.map(({ state }) => state)).toContain('in-sync');
    expect((await dmiofs('status', one.file, '--map')).stdout).toContain('data: ');
    writer.kill('SIGKILL');
  });

  it('is shown again and again with --watch, and goes on when the mount is gone for a while', async () => {
    const one = await mounted();
    const child = one.scene.spawn(DMIOFS, ['status', '--watch', '--json', one.file]);
    let [out, err] = ['', ''];
    child.stdout?.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (err += data.toString()));
    const lines = (): readonly string[] => out.split('\n').slice(0, -1);
    await until('two lines', () => (lines().length >= 2 ? true : undefined));
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject([{ state: 'complete' }]);
    await one.scene.umount(one.mountpoint);
    await until('it says so', () => (err.includes('is not a mountpoint') ? true : undefined));
    await one.scene.mount(one.config, one.mountpoint);
    await must(DMIOFS, 'fail', one.file, '1');
    await until('it is back', () => (lines().at(-1)?.includes('"degraded"') === true ? true : undefined));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  });

  it('is redrawn in place on a terminal, in its width and in colours unless NO_COLOR', async () => {
    const one = await mounted();
    const terminal = (env: string, args: string): Promise<string> =>
      sh(
        `script -qec "stty cols 70; ${env} timeout 3 ${DMIOFS} status ${args} ${one.file}" /dev/null || true`,
      );
    const drawn = await terminal('env -u NO_COLOR TERM=xterm', '--watch');
    expect(drawn).toContain('\u001b[2J\u001b[H');
    expect(drawn).toContain('\u001b[32mcomplete\u001b[0m');
    expect(drawn.split('\u001b[H').length).toBeGreaterThan(1);
    const plain = await terminal('NO_COLOR=1', '');
    expect(plain).toContain('data: complete');
    expect(plain).not.toContain('\u001b');
    expect((await dmiofs('status', one.file)).stdout).not.toContain('\u001b');
  });

  it('lists all mounts, whatever is wrong with one of them', async () => {
    const [one, dead] = [await mounted(), await mounted()];
    const { pid } = await dead.scene.status(dead.mountpoint);
    process.kill(pid, 'SIGKILL');
    const { code, stdout, stderr } = await until('the daemon is gone', async () => {
      const listed = await dmiofs('status');
      return listed.stderr.includes(dead.mountpoint) ? listed : undefined;
    });
    expect(code).toBe(2);
    expect(stdout).toContain(one.mountpoint);
    expect(stderr).toContain(`the daemon of ${dead.mountpoint} has died`);
  });

  it.each([
    [['status', '--json', '--map'], '--map is for people'],
    [['status', '--jsn'], 'Unknown argument: jsn'],
    [['status', '/'], '/ is not a mountpoint of dmiofs'],
    [['scrub', '/etc/passwd'], 'not a mountpoint of dmiofs'],
    [['scrub', '/etc/passwd', '--reapir'], 'Unknown argument: reapir'],
    [['scrub'], 'too few arguments'],
  ])('%j ends with 2: 1 would be an answer', async (args, said) => {
    const { code, stdout, stderr } = await dmiofs(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(said);
  });
});
