/** Legs that fail under a mounted set: what the user sees, what is recorded, and how a leg comes back. */
import { afterEach, describe, expect, it } from 'vitest';
import type { LegStatus } from '../../src/mirror/status.js';
import type { FaultRule } from '../../src/native/io.js';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  DMIOFS,
  dmiofs,
  legBytes,
  legsEqual,
  MIB,
  must,
  type OneSet,
  oneSet,
  run,
  Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const REGION = 64 * 1024;
const set_ = { log: { region_size: REGION }, io_timeout: '1s' };

const scenes: Scene[] = [];
async function mounted(
  rules: readonly FaultRule[],
  options: Parameters<typeof oneSet>[0] = {},
): Promise<OneSet> {
  // Paths in rules are relative to the scene, which does not exist before the set: so they are given to a second mount.
  const one = await oneSet({ ...options, set: { ...set_, ...options.set } });
  scenes.push(one.scene);
  if (rules.length > 0) await remount(one, rules);
  return one;
}

async function remount(one: OneSet, rules: readonly FaultRule[] = []): Promise<void> {
  await one.scene.umount(one.mountpoint);
  const placed = rules.map((rule) =>
    rule.device === undefined ? rule : { ...rule, device: one.scene.path(rule.device) },
  );
  await one.scene.mount(
    one.config,
    one.mountpoint,
    ...(placed.length > 0 ? ['--fault-rules', JSON.stringify(placed)] : []),
  );
}

const legsOf = async ({ scene, file }: OneSet): Promise<readonly LegStatus[]> => (await scene.set(file)).legs;
const leg = async (one: OneSet, index: number): Promise<LegStatus> => {
  const found = (await legsOf(one))[index];
  if (found === undefined) throw new Error(`no leg ${String(index)}`);
  return found;
};
const attribute = async (file: string, name: string): Promise<string> =>
  must('getfattr', '--absolute-names', '--only-values', '-n', `user.dmio.${name}`, file);

/** Random data, kept beside to compare with. */
async function data(scene: Scene, bytes: number): Promise<string> {
  const path = scene.path('data');
  await sh(`head -c ${String(bytes)} /dev/urandom > ${path}`);
  return path;
}
const direct = (source: string, file: string, more = ''): Promise<string> =>
  sh(`dd if=${source} of=${file} bs=16k oflag=direct conv=notrunc status=none ${more}`);

describe.skipIf(!canMount)('a leg that fails', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('in the middle of dd: dd sees no error, status and attributes tell of it, the others hold all', async () => {
    const one = await mounted([{ action: 'error', device: 'leg1.img', ops: ['write'], skip: 20 }], {
      legs: 3,
    });
    const source = await data(one.scene, 4 * MIB);
    await direct(source, one.file);
    await must('cmp', '-n', String(4 * MIB), source, one.file);
    const status = await dmiofs('status', one.file);
    expect(status.code).toBe(1);
    expect(status.stdout).toContain('degraded');
    const set = await one.scene.set(one.file);
    expect(set.legs.map(({ state }) => state)).toEqual(['in-sync', 'failed', 'in-sync']);
    expect(set.legs[1]?.last_error?.errno).toBe('EIO');
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000002');
    expect(await attribute(one.file, 'error_bits.write')).toBe('0x0000000000000002');
    expect(await attribute(one.file, 'error_bits.read')).toBe('0x0000000000000000');
    expect(await attribute(one.file, 'health')).toBe('ADA');
    expect(await attribute(one.file, 'status')).toMatch(
      /^state=degraded error_bits=0x0000000000000002 health=ADA /,
    );
    expect(await attribute(one.file, 'leg.1')).toMatch(
      / state=failed .* write_errors=1 .* last_error=EIO@[0-9]+@[0-9]+$/,
    );
    expect(await attribute(one.mountpoint, 'status')).toContain('degraded=1');
    expect(one.scene.daemonLog()).toContain('leg-failed');
    await one.scene.umount(one.mountpoint);
    const [first, failed, third] = one.legs.map((path) => legBytes(path, one.bytes));
    expect(first?.subarray(0, 4 * MIB).equals(legBytes(source, 4 * MIB))).toBe(true);
    expect(third?.equals(first ?? Buffer.alloc(0))).toBe(true);
    // Nothing reached the leg after its failure.
    expect(failed?.subarray(21 * 16 * 1024).every((byte) => byte === 0)).toBe(true);
  });

  it('stays failed over umount and mount, comes back by re-add, which copies only what changed', async () => {
    const one = await mounted([{ action: 'error', device: 'leg1.img', ops: ['write'], skip: 4 }]);
    const source = await data(one.scene, 256 * 1024);
    await direct(source, one.file);
    await one.scene.umount(one.mountpoint);
    // Where nothing was written meanwhile: a copy of the whole set would take it away.
    await sh(`printf mark | dd of=${one.legs[1] ?? ''} bs=1M seek=8 conv=notrunc status=none`);
    await one.scene.mount(one.config, one.mountpoint);
    expect(await leg(one, 1)).toMatchObject({ state: 'failed', write_errors: 1 });
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000002');
    await must('cmp', '-n', String(256 * 1024), source, one.file);

    await must(DMIOFS, 're-add', one.file, '1');
    await must(DMIOFS, 'wait', '--timeout', '30s', one.file);
    expect(await leg(one, 1)).toMatchObject({ state: 'in-sync' });
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000000');
    expect((await dmiofs('status', one.file)).code).toBe(0);
    await one.scene.umount(one.mountpoint);
    const [first, second] = one.legs.map((path) => legBytes(path, one.bytes));
    expect(second?.subarray(0, 256 * 1024).equals(first?.subarray(0, 256 * 1024) ?? Buffer.alloc(0))).toBe(
      true,
    );
    expect(second?.subarray(8 * MIB, 8 * MIB + 4).toString()).toBe('mark');
  });

  it('is never read again, whatever it holds: its old data are not served', async () => {
    const one = await mounted([{ action: 'error', device: 'leg0.img', ops: ['write'], skip: 1 }], {
      set: { read_policy: 'round-robin' },
    });
    const source = await data(one.scene, MIB);
    await direct(source, one.file);
    for (let round = 0; round < 4; round++) {
      await sh(`dd if=${one.file} iflag=direct bs=16k count=64 status=none | cmp - ${source}`);
    }
    await remount(one);
    for (let round = 0; round < 4; round++) {
      await sh(`dd if=${one.file} iflag=direct bs=16k count=64 status=none | cmp - ${source}`);
    }
    expect(await leg(one, 0)).toMatchObject({ state: 'failed', reads: 0 });
  });

  it('keeps its error bits until they are cleared, over umount and mount', async () => {
    const one = await mounted([{ action: 'error', device: 'leg0.img', ops: ['read'], times: 1 }]);
    await sh(`dd if=${one.file} of=/dev/null iflag=direct bs=4k count=1 status=none`);
    expect(await leg(one, 0)).toMatchObject({ state: 'in-sync', read_errors: 1, repaired_reads: 1 });
    expect(await attribute(one.file, 'error_bits.read')).toBe('0x0000000000000001');
    await remount(one);
    expect(await attribute(one.file, 'error_bits.read')).toBe('0x0000000000000001');
    await must(DMIOFS, 'clear', one.file, '1');
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000001');
    await must(DMIOFS, 'clear', one.file);
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000000');
    expect(await leg(one, 0)).toMatchObject({ read_errors: 0, last_error: null });
    await remount(one);
    expect(await attribute(one.file, 'error_bits')).toBe('0x0000000000000000');
  });

  it('on a read: the reader sees no error and the failed sectors are rewritten from another leg', async () => {
    const one = await mounted([], {});
    const source = await data(one.scene, MIB);
    await direct(source, one.file);
    await remount(one, [
      { action: 'error', device: 'leg0.img', ops: ['read'], firstByte: 65536, lastByte: 69631, times: 1 },
    ]);
    await sh(`dd if=${one.file} iflag=direct bs=64k count=16 status=none | cmp - ${source}`);
    expect(await leg(one, 0)).toMatchObject({ state: 'in-sync', read_errors: 1, repaired_reads: 1 });
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });

  it('on a read and again when it is rewritten: it is taken out', async () => {
    const one = await mounted([]);
    const source = await data(one.scene, MIB);
    await direct(source, one.file);
    await remount(one, [
      { action: 'error', device: 'leg0.img', firstByte: 65536, lastByte: 69631, ops: ['read', 'write'] },
    ]);
    await sh(`dd if=${one.file} iflag=direct bs=64k count=16 status=none | cmp - ${source}`);
    expect((await leg(one, 0)).state).toBe('failed');
    await must('cmp', '-n', String(MIB), source, one.file);
  });

  it('and then the last one too: EIO to the writer, and what was acknowledged can be read', async () => {
    const one = await mounted([
      { action: 'error', device: 'leg0.img', ops: ['write'], skip: 8 },
      { action: 'error', device: 'leg1.img', ops: ['write'], skip: 16 },
    ]);
    const source = await data(one.scene, MIB);
    const dd = await run('dd', [`if=${source}`, `of=${one.file}`, 'bs=16k', 'oflag=direct', 'conv=notrunc']);
    expect(dd.code).toBe(1);
    expect(dd.stderr).toContain('Input/output error');
    const written = Number(/([0-9]+)\+0 records out/.exec(dd.stderr)?.[1]) * 16 * 1024;
    expect(written).toBe(16 * 16 * 1024);
    await must('cmp', '-n', String(written), source, one.file);
    const legs = await legsOf(one);
    expect(legs.map(({ state }) => state)).toEqual(['failed', 'in-sync']);
    // The right leg is still known after a restart, and the wrong one still out.
    await remount(one);
    await must('cmp', '-n', String(written), source, one.file);
    expect((await legsOf(one)).map(({ state }) => state)).toEqual(['failed', 'in-sync']);
  });

  it('and every other one too: EIO to the reader, and all is as before when they read again', async () => {
    const one = await mounted([]);
    const source = await data(one.scene, MIB);
    await direct(source, one.file);
    const rule = { action: 'error', ops: ['read'], firstByte: 65536, lastByte: 69631, times: 3 } as const;
    await remount(one, [
      { ...rule, device: 'leg0.img' },
      { ...rule, device: 'leg1.img' },
    ]);
    const read = () =>
      run('dd', [`if=${one.file}`, 'of=/dev/null', 'bs=4k', 'skip=16', 'count=1', 'iflag=direct']);
    const failed = await read();
    expect(failed.stderr).toContain('Input/output error');
    expect((await legsOf(one)).map(({ state }) => state)).toEqual(['in-sync', 'in-sync']);
    await until('it can be read again', async () => ((await read()).code === 0 ? true : undefined));
    await must('cmp', '-n', String(MIB), source, one.file);
    expect((await legsOf(one)).map(({ state }) => state)).toEqual(['in-sync', 'in-sync']);
  });

  it('at a flush: fsync is good as long as another leg has it', async () => {
    const one = await mounted([{ action: 'error', device: 'leg1.img', ops: ['flush'] }]);
    const source = await data(one.scene, MIB);
    await sh(`dd if=${source} of=${one.file} bs=64k conv=notrunc,fsync status=none`);
    expect(await leg(one, 1)).toMatchObject({ state: 'failed', flush_errors: 1 });
    expect(await attribute(one.file, 'health')).toBe('AF');
    expect(await attribute(one.file, 'error_bits.flush')).toBe('0x0000000000000002');
  });

  it('by hanging: it is taken out after io_timeout, and the mount ends all the same', async () => {
    const one = await mounted([{ action: 'hang', device: 'leg1.img', ops: ['write'], skip: 2 }]);
    const source = await data(one.scene, MIB);
    await direct(source, one.file);
    await must('cmp', '-n', String(MIB), source, one.file);
    const set = await one.scene.set(one.file);
    expect(set.legs[1]).toMatchObject({ state: 'failed', last_error: { errno: 'ETIMEDOUT' } });
    expect(set.late_ios).toBeGreaterThan(0);
    const { pid } = await one.scene.status(one.mountpoint);
    await one.scene.umount(one.mountpoint);
    expect(isRunning(pid)).toBe(false);
    await one.scene.mount(one.config, one.mountpoint);
    expect((await leg(one, 1)).state).toBe('failed');
    await must('cmp', '-n', String(MIB), source, one.file);
  });

  it('by hanging at a read: another leg answers', async () => {
    const one = await mounted([{ action: 'hang', device: 'leg0.img', ops: ['read'] }]);
    const source = await data(one.scene, 64 * 1024);
    await direct(source, one.file);
    await sh(`dd if=${one.file} iflag=direct bs=64k count=1 status=none | cmp - ${source}`);
    expect((await leg(one, 0)).state).toBe('failed');
  });

  it('by order: fail, a refusal for the last leg and for one that is not there, re-add', async () => {
    const one = await mounted([]);
    const source = await data(one.scene, MIB);
    await must(DMIOFS, 'fail', one.file, '0');
    expect((await leg(one, 0)).state).toBe('failed');
    expect((await dmiofs('fail', one.file, '1')).stderr).toContain('last in-sync leg');
    for (const leg of ['7', 'x', '01'])
      for (const verb of ['fail', 're-add', 'clear'])
        expect(await dmiofs(verb, one.file, leg)).toMatchObject({
          code: 1,
          stderr: `dmiofs: there is no leg ${JSON.stringify(leg)}: data has legs 0 to 1\n`,
        });
    expect((await dmiofs('re-add', one.file, '1')).stderr).toContain('in use already');
    expect((await run('setfattr', ['-n', 'user.dmio.control', '-v', 'nonsense', one.file])).stderr).toContain(
      'Invalid argument',
    );
    expect(one.scene.daemonLog()).toContain('nonsense');
    await direct(source, one.file);
    await must(DMIOFS, 're-add', one.file, '0');
    await must(DMIOFS, 'wait', '--timeout', '30s', one.file);
    expect((await one.scene.set(one.file)).state).toBe('complete');
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
    expect(legBytes(one.legs[0] ?? '', MIB).equals(legBytes(source, MIB))).toBe(true);
  });

  it('by order of its owner or root only, whoever else may write it', async () => {
    const one = await mounted([], { set: { mode: '0666' }, mountOptions: ['-o', 'allow_other'] });
    await must('chmod', '755', one.scene.dir);
    const asNobody = (script: string): ReturnType<typeof run> =>
      run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'bash', '-c', script]);
    const control = `setfattr -n user.dmio.control -v 'fail 1' ${one.file}`;
    expect((await asNobody(`printf x | dd of=${one.file} conv=notrunc status=none`)).code).toBe(0);
    expect((await asNobody(control)).stderr).toContain('Operation not permitted');
    expect((await leg(one, 1)).state).toBe('in-sync');
    await must('chown', '65534', one.file);
    expect(await asNobody(control)).toMatchObject({ code: 0 });
    expect((await leg(one, 1)).state).toBe('failed');
  });

  it('and comes back under writers: at the end all legs are equal', async () => {
    const one = await mounted([], { legs: 3 });
    const writer = one.scene.spawn(
      'timeout',
      [
        '60',
        'python3',
        '-c',
        [
          'import os, random, sys',
          'rng = random.Random(7); fd = os.open(sys.argv[1], os.O_WRONLY)',
          'while not os.path.exists(sys.argv[2]):',
          '  os.pwrite(fd, bytes([rng.randrange(256)]) * rng.randrange(1, 20000), rng.randrange(16000000))',
          'os.fsync(fd)',
        ].join('\n'),
        one.file,
        one.scene.path('enough'),
      ],
      'ignore',
    );
    const ended = new Promise<number | null>((resolve) => {
      writer.on('exit', resolve);
    });
    for (const index of ['2', '0', '1']) {
      await must(DMIOFS, 'fail', one.file, index);
      await must(DMIOFS, 're-add', one.file, index);
      await must(DMIOFS, 'wait', '--timeout', '60s', one.file);
    }
    await sh(`touch ${one.scene.path('enough')}`);
    expect(await ended).toBe(0);
    expect((await one.scene.set(one.file)).state).toBe('complete');
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });

  it('for real: a loop device whose backing store is full', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const bytes = 16 * MIB;
    const small = scene.folder('small');
    await must('mount', '-t', 'tmpfs', '-o', 'size=6M', 'tmpfs', small);
    await sh(`truncate -s ${String(bytes)} ${small}/thin.img`);
    const loop = await scene.loop(`${small}/thin.img`);
    const good = scene.image('good.img', bytes);
    const config = scene.config({
      data: { regions: [{ device: good }, { device: loop }], log: { region_size: REGION } },
    });
    await must(DMIOFS, 'init', '--assume-clean', config);
    const mountpoint = scene.folder('mnt');
    const file = `${mountpoint}/data`;
    await scene.mount(config, mountpoint);
    const source = await data(scene, 12 * MIB);
    await sh(`dd if=${source} of=${file} bs=256k oflag=direct conv=notrunc,fsync status=none`);
    await must('cmp', '-n', String(12 * MIB), source, file);
    const failed = await until('the thin leg fails', async () => {
      const { legs } = await scene.set(file);
      return legs[1]?.state === 'failed' ? legs[1] : undefined;
    });
    expect(failed.write_errors + failed.flush_errors).toBeGreaterThan(0);
    // Room is made, the leg is taken back and holds all of it.
    await must('mount', '-o', 'remount,size=32M', small);
    await must(DMIOFS, 're-add', file, '1');
    await must(DMIOFS, 'wait', '--timeout', '30s', file);
    expect((await scene.set(file)).state).toBe('complete');
    await scene.umount(mountpoint);
    expect(legBytes(`${small}/thin.img`, bytes).equals(legBytes(good, bytes))).toBe(true);
  });
});
