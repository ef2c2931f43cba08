/** Legs that come, go and are replaced while the set is used; the config follows. */
import { chmodSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  dmiofs,
  DMIOFS,
  legBytes,
  MIB,
  must,
  type OneSet,
  oneSet,
  run,
  type Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const scenes: Scene[] = [];
async function mounted(options: Parameters<typeof oneSet>[0] = {}): Promise<OneSet> {
  const one = await oneSet({ ...options, set: { log: { region_size: 65536 }, ...options.set } });
  scenes.push(one.scene);
  return one;
}
const ok = (...args: readonly string[]): Promise<string> => must(DMIOFS, ...args);
const settled = ({ scene, file }: OneSet, legs: number): Promise<true> =>
  until('every leg is in sync and in its place', async () => {
    const set = await scene.set(file);
    return set.legs.length === legs && set.legs.every(({ state }) => state === 'in-sync') ? true : undefined;
  });
const text = ({ config }: OneSet): string => readFileSync(config, 'utf8');
const fill = async ({ scene, file }: OneSet, bytes = 8 * MIB): Promise<string> => {
  const data = scene.path('data');
  await sh(`head -c ${String(bytes)} /dev/urandom > ${data}`);
  await sh(`dd if=${data} of=${file} bs=256k oflag=direct conv=notrunc status=none`);
  return data;
};
/** An image with other data on it. */
const blank = async ({ scene, bytes }: OneSet, name: string, sector = 0): Promise<string> => {
  const path = scene.path(name);
  await sh(`head -c ${String(bytes + sector * 512)} /dev/zero | tr '\\0' x > ${path}`);
  return path;
};

/** Writes and reads back for as long as it runs; resolves to how it ended. */
async function load({ scene, file, bytes }: OneSet): Promise<() => Promise<void>> {
  const fio = scene.spawn('fio', [
    '--name=load',
    `--filename=${file}`,
    '--rw=randrw',
    '--bs=4k',
    `--size=${String(bytes)}`,
    '--direct=1',
    '--numjobs=2',
    '--time_based',
    '--runtime=120',
    '--rate_iops=400',
    '--exitall_on_error=1',
    '--output-format=terse',
  ]);
  let said = '';
  fio.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<number>((resolve) =>
    fio.on('exit', (code) => {
      resolve(code ?? 255);
    }),
  );
  await until('the load runs', async () => ((await scene.set(file)).legs[0]?.writes ?? 0) > 50 || undefined);
  return async () => {
    fio.kill('SIGINT');
    await ended;
    expect(said).not.toMatch(/error|Input\/output/i);
  };
}

describe.skipIf(!canMount)('the legs of a mounted set', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('become three by add and two by remove, the config follows with its comments', async () => {
    const one = await mounted();
    const before = `# mine\n${text(one)}`;
    writeFileSync(one.config, before);
    chmodSync(one.config, 0o640);
    const data = await fill(one);
    const third = await blank(one, 'third.img', 24);
    await ok('add', one.file, third, '--sector', '24');
    await settled(one, 3);
    expect(legBytes(third, one.bytes, 24).equals(legBytes(one.legs[0] ?? '', one.bytes))).toBe(true);
    expect(text(one)).toContain('# mine');
    expect(text(one)).toContain(`- device: ${third}\n        sector: 24\n`);
    expect(statSync(one.config).mode & 0o777).toBe(0o640);
    await ok('remove', one.file, '0');
    expect(text(one)).not.toContain('leg0.img');
    await must('cmp', '-n', String(8 * MIB), data, one.file);
    // What was left behind is a plain copy of before, and no longer written.
    await sh(`dd if=/dev/urandom of=${one.file} bs=64k count=4 conv=notrunc status=none`);
    await must('cmp', '-n', String(8 * MIB), data, one.legs[0] ?? '');
    await one.scene.umount(one.mountpoint);
    await one.scene.mount(one.config, one.mountpoint);
    expect((await one.scene.set(one.file)).state).toBe('complete');
    await must('cmp', one.file, one.legs[1] ?? '');
  });

  it('are replaced under load: the old one serves until the new one holds everything, the load sees nothing', async () => {
    const one = await mounted();
    await fill(one);
    await ok('speed', one.file, '--max', '4MiB');
    const fresh = await blank(one, 'fresh.img');
    const end = await load(one);
    await ok('replace', one.file, '0', fresh);
    const set = await one.scene.set(one.file);
    expect(set.state).toBe('complete');
    expect(set.legs.map(({ state, replaces }) => [state, replaces])).toEqual([
      ['in-sync', null],
      ['in-sync', null],
      ['rebuilding', 0],
    ]);
    expect(text(one)).toContain('replacement: { device: ');
    expect((await dmiofs('replace', one.file, '0', one.scene.image('x.img', one.bytes))).stderr).toContain(
      'is being replaced already',
    );
    await ok('speed', one.file, '--max', '0');
    await settled(one, 2);
    await end();
    expect(text(one)).not.toContain('replacement');
    expect(text(one)).toContain(`device: ${fresh}`);
    await must('cmp', fresh, one.legs[1] ?? '');
    expect((await one.scene.set(one.file)).legs[0]?.device).toBe(fresh);
  });

  it('goes on with a replacement after kill -9, and can give it up', async () => {
    const one = await mounted();
    const data = await fill(one);
    const fresh = await blank(one, 'fresh.img');
    await ok('pause', one.file);
    await ok('replace', one.file, '1', fresh);
    const { pid } = await one.scene.status(one.mountpoint);
    process.kill(pid, 'SIGKILL');
    await until('the daemon has ended', () => !isRunning(pid) || undefined);
    await one.scene.mount(one.config, one.mountpoint);
    expect((await one.scene.set(one.file)).legs.map(({ replaces }) => replaces)).toEqual([null, null, 1]);
    await ok('remove', one.file, '2');
    expect(text(one)).not.toContain('replacement');
    await ok('replace', one.file, '1', fresh);
    await ok('resume', one.file);
    await settled(one, 2);
    await must('cmp', fresh, one.legs[0] ?? '');
    await must('cmp', '-n', String(8 * MIB), data, one.file);
  });

  it('a set of one leg moves to another device without stopping', async () => {
    const one = await mounted({ legs: 1 });
    const data = await fill(one);
    const fresh = await blank(one, 'fresh.img');
    await ok('replace', one.file, '0', fresh);
    await settled(one, 1);
    await must('cmp', '-n', String(8 * MIB), data, fresh);
    rmSync(one.legs[0] ?? '');
    await one.scene.umount(one.mountpoint);
    await one.scene.mount(one.config, one.mountpoint);
    await must('cmp', '-n', String(8 * MIB), data, one.file);
  });

  it('a failed leg is replaced in its place', async () => {
    const one = await mounted();
    await fill(one);
    await ok('fail', one.file, '0');
    const fresh = await blank(one, 'fresh.img');
    await ok('replace', one.file, '0', fresh);
    await settled(one, 2);
    await must('cmp', fresh, one.legs[1] ?? '');
    expect(text(one)).toContain(`device: ${fresh}`);
  });

  it('the size stays when the smallest leg leaves', async () => {
    const one = await mounted({ legs: 3, set: { size: undefined } }).catch(() => undefined);
    expect(one).toBeUndefined(); // images that are missing need a size
    const two = await mounted();
    const big = two.scene.image('big.img', 2 * two.bytes);
    writeFileSync(two.config, text(two).replace(/^ *size:.*\n/m, ''));
    await ok('add', two.file, big);
    await settled(two, 3);
    await ok('remove', two.file, '0');
    await ok('remove', two.file, '0');
    expect(text(two)).toContain('size: 16MiB');
    await two.scene.umount(two.mountpoint);
    await two.scene.mount(two.config, two.mountpoint);
    expect(statSync(two.file).size).toBe(two.bytes);
  });

  it('setfattr does what the commands do', async () => {
    const one = await mounted();
    const fresh = one.scene.path('with blanks  in.img');
    writeFileSync(fresh, Buffer.alloc(one.bytes));
    await must('setfattr', '-n', 'user.dmio.control', '-v', `replace 1 sector=0 ${fresh}`, one.file);
    await settled(one, 2);
    expect((await one.scene.set(one.file)).legs[1]?.device).toBe(fresh);
  });

  describe('refuses, and changes nothing', () => {
    it('what cannot be a leg, with the reason', async () => {
      const one = await mounted();
      const before = text(one);
      const small = one.scene.image('small.img', one.bytes / 2);
      const cases: readonly (readonly [readonly string[], RegExp])[] = [
        [['add', one.file, small], /goes to sector|smaller/],
        [['add', one.file, one.scene.path('none.img')], /there is no \S+none\.img; .* truncate -s/],
        [['add', one.file, one.legs[0] ?? ''], /overlaps/],
        [['replace', one.file, '0', one.legs[1] ?? ''], /overlaps/],
        [['add', one.file, one.file], /lies under the mountpoint/],
        [['replace', one.file, '7', small], /there is no leg/],
        [['remove', one.file, 'x'], /there is no leg/],
        [['add', one.file, small, '--sector', '-1'], /--sector is a number/],
        [['add', one.mountpoint, small], /is a mountpoint/],
      ];
      for (const [args, reason] of cases) {
        const ran = await dmiofs(...args);
        expect([args.join(' '), ran.stderr]).toEqual([args.join(' '), expect.stringMatching(reason)]);
        expect(ran.code).not.toBe(0);
      }
      expect(text(one)).toBe(before);
      expect((await one.scene.set(one.file)).legs).toHaveLength(2);
      expect((await sh(`ls -A ${one.scene.dir}`)).includes('.new')).toBe(false);
    });

    it('when the config cannot be written, was edited since, or is gone', async () => {
      const one = await mounted();
      const fresh = await blank(one, 'fresh.img');
      const before = text(one);
      writeFileSync(one.config, before.replace('leg1.img', 'other.img'));
      expect((await dmiofs('add', one.file, fresh)).stderr).toContain('was edited since');
      writeFileSync(one.config, before);
      renameSync(one.config, `${one.config}.away`);
      expect((await dmiofs('remove', one.file, '1')).stderr).toContain('cannot be read');
      renameSync(`${one.config}.away`, one.config);
      await one.scene.umount(one.mountpoint);
      const etc = one.scene.folder('etc');
      const config = `${etc}/config.yaml`;
      writeFileSync(config, before.replace('./state', one.scene.path('state')));
      await one.scene.mount(config, one.mountpoint);
      await must('mount', '--bind', '-o', 'ro', etc, etc);
      try {
        const ran = await dmiofs('remove', one.file, '1');
        expect(ran.code).not.toBe(0);
        expect(ran.stderr).toContain('cannot be written');
      } finally {
        await run('umount', ['-l', etc]);
      }
      expect(text(one)).toBe(before);
      expect((await one.scene.set(one.file)).state).toBe('complete');
    });

    it('to take the last in-sync leg away', async () => {
      const one = await mounted();
      await ok('fail', one.file, '0');
      const before = text(one);
      expect((await dmiofs('remove', one.file, '1')).stderr).toContain('last in-sync leg');
      expect(text(one)).toBe(before);
      await ok('remove', one.file, '0');
      expect((await dmiofs('remove', one.file, '0')).code).not.toBe(0);
    });
  });

  it('a config that is a symbolic link is changed where it lies', async () => {
    const one = await mounted();
    await one.scene.umount(one.mountpoint);
    const link = one.scene.path('link.yaml');
    symlinkSync(one.config, link);
    await one.scene.mount(link, one.mountpoint);
    await ok('remove', one.file, '1');
    expect(statSync(link).isFile()).toBe(true);
    expect(text(one)).not.toContain('leg1.img');
  });
});
