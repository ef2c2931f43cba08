/** Scrub on real mounts: differences are planted behind the set's back, on its image files. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { isRunning } from '../../src/util/process.js';
import { afterEach, describe, expect, it } from 'vitest';
import { type ScrubReport, scrubSchema } from '../../src/mirror/scrub-schema.js';
import {
  canMount,
  DMIOFS,
  dmiofs,
  legsEqual,
  MIB,
  must,
  oneSet,
  type OneSet,
  type OneSetOptions,
  sh,
  until,
} from '../helpers/mounted.js';

let one: OneSet | undefined;

async function filled(options: OneSetOptions = {}): Promise<OneSet> {
  one = await oneSet(options);
  await must(
    'dd',
    'if=/dev/urandom',
    `of=${one.file}`,
    'bs=1M',
    `count=${String(one.bytes / MIB)}`,
    'conv=notrunc,fsync',
    'status=none',
  );
  return one;
}

/** Sectors of one leg get another content, as by a disk that rots. */
function plant(leg: string | undefined, sector: number, count: number, fill: number): void {
  if (leg === undefined) throw new Error('no such leg');
  const file = openSync(leg, 'r+');
  try {
    writeSync(file, Buffer.alloc(count * 512, fill), 0, count * 512, sector * 512);
  } finally {
    closeSync(file);
  }
}

async function scrub(file: string, code: number, ...options: readonly string[]): Promise<ScrubReport> {
  const ran = await dmiofs('scrub', file, '--json', ...options);
  expect(ran.stderr).not.toContain('dmiofs: ');
  expect(ran.code).toBe(code);
  return scrubSchema.parse(JSON.parse(ran.stdout));
}

const hashOf = (path: string | undefined, sector: number, count: number): string =>
  createHash('sha256')
    .update(readFileSync(path ?? '').subarray(sector * 512, (sector + count) * 512))
    .digest('hex')
    .slice(0, 16);

describe.runIf(canMount)('scrub', () => {
  afterEach(async () => {
    await one?.scene.close();
    one = undefined;
  });

  it('finds nothing where nothing differs', async () => {
    const { file } = await filled();
    const report = await scrub(file, 0);
    expect(report).toMatchObject({
      set: 'data',
      action: 'check',
      state: 'finished',
      mismatches: 0,
      compared: 32,
      skipped: 0,
    });
    const ran = await dmiofs('scrub', file);
    expect(ran).toMatchObject({ code: 0, stdout: 'data: no differences; 32 of 32 sync regions compared\n' });
  });

  // K12: legs that differ without an error are never found by a kernel mirror.
  it('prints each differing range with what each leg holds, and changes nothing', async () => {
    const { file, legs, bytes } = await filled();
    const last = bytes / 512 - 8;
    plant(legs[0], 0, 8, 1);
    plant(legs[1], 2048, 16, 2);
    plant(legs[1], last, 8, 3);
    const before = legs.map((leg) => readFileSync(leg));
    const report = await scrub(file, 1);
    expect(report.ranges.map(({ sector, count, by, repaired }) => [sector, count, by, repaired])).toEqual([
      [0, 8, 'primary', false],
      [2048, 16, 'primary', false],
      [last, 8, 'primary', false],
    ]);
    for (const { sector, count, legs: held } of report.ranges) {
      expect(held.map(({ hash }) => hash)).toEqual(legs.map((leg) => hashOf(leg, sector, count)));
    }
    expect(report).toMatchObject({ mismatches: 3, sectors: 32, repaired: 0 });
    expect(legs.map((leg, index) => readFileSync(leg).equals(before[index] ?? Buffer.alloc(0)))).toEqual([
      true,
      true,
    ]);
    const ran = await dmiofs('scrub', file);
    expect(ran.code).toBe(1);
    const [first, ...rest] = ran.stdout.trimEnd().split('\n');
    expect(first).toBe(
      `sectors 0+8: leg 0 ${hashOf(legs[0], 0, 8)}, leg 1 ${hashOf(legs[1], 0, 8)} (differs); by primary`,
    );
    expect(rest.at(-1)).toBe('data: 3 ranges (32 sectors) differ; 32 of 32 sync regions compared');
    // What sha256sum says of it.
    expect(await sh(`dd if=${legs[1] ?? ''} skip=2048 count=16 status=none | sha256sum | cut -c1-16`)).toBe(
      `${report.ranges[1]?.legs[1]?.hash ?? ''}\n`,
    );
  });

  it('repairs by majority with three legs, the lowest one too', async () => {
    const { file, legs } = await filled({ legs: 3 });
    const before = readFileSync(legs[0] ?? '');
    plant(legs[0], 4096, 8, 1);
    plant(legs[1], 4112, 8, 2);
    plant(legs[2], 8, 8, 3);
    const report = await scrub(file, 1, '--repair');
    expect(report).toMatchObject({ action: 'repair', mismatches: 3, repaired: 3 });
    expect(report.ranges.every(({ by, repaired }) => by === 'majority' && repaired)).toBe(true);
    if (one !== undefined) expect(legsEqual(one)).toBe(true);
    expect(readFileSync(legs[0] ?? '').equals(before)).toBe(true);
    expect((await scrub(file, 0)).mismatches).toBe(0);
    expect(await one?.scene.set(file)).toMatchObject({
      state: 'complete',
      mismatches: 0,
      error_bits: '0x0000000000000000',
    });
  });

  it('makes nothing wrong when the daemon dies while the lowest leg is repaired', async () => {
    const { file, legs, scene, config, mountpoint } = await filled({ legs: 3 });
    await scene.umount(mountpoint);
    const before = readFileSync(legs[1] ?? '');
    plant(legs[0], 4096, 8, 1);
    plant(legs[0], 4120, 8, 2);
    const late = JSON.stringify([{ device: legs[0], ops: ['write'], action: 'delay', delayMs: 20_000 }]);
    const { pid } = await scene.mount(config, mountpoint, '--fault-rules', late);
    await sh(`setfattr -n user.dmio.control -v repair ${file}`);
    await until('leg 0 has stepped aside', async () => {
      const { legs: now } = await scene.set(file);
      return now[0]?.state === 'rebuilding' ? true : undefined;
    });
    process.kill(pid, 'SIGKILL');
    await until('the daemon has ended', () => (isRunning(pid) ? undefined : true));
    await scene.mount(config, mountpoint);
    await must(DMIOFS, 'wait', file);
    expect(await scene.set(file)).toMatchObject({ state: 'complete', health: 'AAA' });
    if (one !== undefined) expect(legsEqual(one)).toBe(true);
    expect(readFileSync(legs[0] ?? '').equals(before)).toBe(true);
    expect((await scrub(file, 0)).mismatches).toBe(0);
  });

  it('repairs from the primary with two legs, and says so', async () => {
    const { file, legs } = await filled();
    const before = readFileSync(legs[0] ?? '');
    plant(legs[1], 100, 1, 9);
    const ran = await dmiofs('scrub', file, '--repair');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(
      /^sectors [0-9]+\+[0-9]+: leg 0 \w{16}, leg 1 \w{16} \(differs\); by primary; repaired\n/,
    );
    expect(ran.stdout).toContain('data: 1 range (');
    expect(readFileSync(legs[1] ?? '').equals(before)).toBe(true);
    expect((await dmiofs('scrub', file)).code).toBe(0);
  });

  it('tells mismatches in the status, in attributes and as an event', async () => {
    const { file, legs, scene } = await filled();
    plant(legs[1], 2048, 8, 2);
    expect(await sh(`getfattr --only-values -n user.dmio.scrub ${file} 2>&1 || true`)).toContain(
      'No such attribute',
    );
    await sh(`setfattr -n user.dmio.control -v check ${file}`);
    expect((await dmiofs('wait', file)).code).toBe(0);
    expect(await sh(`getfattr --only-values -n user.dmio.scrub ${file}`)).toMatch(
      /^action=check state=finished run=1 .* compared=32 skipped=0 failed=0 mismatches=1 sectors=8 repaired=0$/,
    );
    expect((await scene.set(file)).mismatches).toBe(1);
    expect((await dmiofs('status', file)).stdout).toContain('legs differ in 1 range');
    const events = JSON.parse(await sh(`getfattr --only-values -n user.dmio.events ${file}`)) as {
      events: { kind: string; sector: number; failed: number }[];
    };
    expect(events.events.filter(({ kind }) => kind === 'mismatch')).toMatchObject([
      { sector: 2048, failed: 8 },
    ]);
    expect(await sh(`getfattr -d ${file}`)).toContain('user.dmio.scrub=');
  });

  it('says all of many ranges that are kept, and counts the others', async () => {
    const { file, legs } = await filled({ bytes: 16 * MIB });
    for (let at = 0; at < 1500; at++) plant(legs[1], at * 16, 8, at % 250);
    const report = await scrub(file, 1);
    expect(report.mismatches).toBe(1500);
    expect(report.sectors).toBe(12000);
    expect(report.ranges.length).toBe(1000);
    expect(new Set(report.ranges.map(({ sector }) => sector)).size).toBe(1000);
    expect((await dmiofs('scrub', file)).stdout).toContain('the first 1000 are listed');
  });

  it('finds no false difference under writers, and loses none of their writes in a repair', async () => {
    const { file, legs, bytes } = await filled({ legs: 3 });
    const writer = one?.scene.spawn('bash', [
      '-c',
      `while :; do dd if=/dev/urandom of=${file} bs=9000 count=20 seek=$((RANDOM % 40)) conv=notrunc status=none; done`,
    ]);
    expect((await scrub(file, 0)).mismatches).toBe(0);
    plant(legs[0], bytes / 512 - 64, 8, 5);
    expect(await scrub(file, 1, '--repair')).toMatchObject({ mismatches: 1, repaired: 1 });
    expect((await scrub(file, 0, '--repair')).mismatches).toBe(0);
    writer?.kill('SIGKILL');
    await sh(`sync ${file}`);
    if (one !== undefined) {
      const same = one;
      await until('the legs are equal', () => (legsEqual(same) ? true : undefined));
    }
  });

  it('is steered as any sync action, refused beside another, and ends with an unmount', async () => {
    const { file, scene, mountpoint } = await filled();
    await must(DMIOFS, 'pause', file);
    const child = scene.spawn(DMIOFS, ['scrub', file]);
    const said: string[] = [];
    child.stderr?.on('data', (data: Buffer) => said.push(data.toString()));
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    await until('it says that it is paused', () =>
      said.join('').includes('dmiofs resume') ? true : undefined,
    );
    expect((await scene.set(file)).sync).toMatchObject({ action: 'frozen', done: 0, total: 32 });
    const second = await dmiofs('scrub', file, '--repair');
    expect(second.code).toBe(2);
    expect(second.stderr).toContain('another sync action runs: dmiofs wait');
    expect((await dmiofs('scrub', file, '--stop')).code).toBe(0);
    expect(await ended).toBe(2);
    expect(said.join('')).toContain('ended before everything had been compared');
    await sh(`setfattr -n user.dmio.control -v check ${file}`);
    expect((await scene.set(file)).sync.action).toBe('frozen');
    await scene.umount(mountpoint);
  });

  it('goes on when a leg fails, and skips what is not in sync', async () => {
    const { file, scene, legs } = await filled({ legs: 3, mountOptions: ['--fault-rules', '[]'] });
    plant(legs[1], 2048, 8, 2);
    await must(DMIOFS, 'fail', file, '0');
    const report = await scrub(file, 1);
    expect(report.ranges[0]?.legs.map(({ leg }) => leg)).toEqual([1, 2]);
    await must(DMIOFS, 'fail', file, '2');
    const alone = await dmiofs('scrub', file);
    expect(alone).toMatchObject({
      code: 0,
      stdout: 'data: nothing to compare: fewer than two legs hold the data\n',
    });
    expect((await scene.set(file)).state).toBe('degraded');
  });

  it('has nothing to compare with one leg, and does not repair what is read-only', async () => {
    const { file, scene, mountpoint, config } = await filled({ legs: 1 });
    expect(await dmiofs('scrub', file)).toMatchObject({
      code: 0,
      stdout: 'data: nothing to compare: fewer than two legs hold the data\n',
    });
    await scene.umount(mountpoint);
    await scene.mount(config, mountpoint, '-o', 'ro');
    const ran = await dmiofs('scrub', file, '--repair');
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('read-only');
    const nothing = spawnSync(DMIOFS, ['scrub', scene.path('nothing')], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(nothing.status).toBe(2);
    expect(nothing.stderr).toContain('is not a mountpoint of dmiofs');
  });
});
