/** The addon as JavaScript sees it: what it exports, what it refuses, and that it outlives the environments that use it. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { native } from '../../src/native/binding.js';
import { isNativeError } from '../../src/native/error.js';
import type { NativeSet, SetEvent, SetOptions } from '../../src/native/set.js';

const MIB = 1024 * 1024;
const run = promisify(execFile);
let directory: string;
const opened: NativeSet[] = [];

beforeAll(() => {
  native().openIo({ engine: 'threads', faults: true });
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dmiofs-binding-'));
});
afterEach(async () => {
  native().faultClear();
  for (const set of opened.splice(0)) await set.stop();
  await rm(directory, { recursive: true, force: true });
});
afterAll(() => {
  native().setLogSink(null);
});

async function image(name: string, bytes = MIB): Promise<string> {
  const path = join(directory, name);
  const file = await open(path, 'wx');
  await file.truncate(bytes);
  await file.close();
  return path;
}

function setOptions(devices: readonly string[], more: Partial<SetOptions> = {}): SetOptions {
  const legs = devices.map((device) => ({ device, sector: 0 }));
  return {
    name: 'data',
    count: MIB / 512,
    legs,
    readPolicy: 'primary',
    ioTimeoutMs: 0,
    readOnly: false,
    syncRegionSectors: 1024,
    ...more,
  };
}

function openSet(options: SetOptions, onEvent: (event: SetEvent) => void = () => undefined): NativeSet {
  const set = native().openSet(options, onEvent);
  opened.push(set);
  return set;
}

/** The error's code, `TypeError`, or `none`. */
function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return isNativeError(error) ? error.code : (error as Error).name;
  }
  return 'none';
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (isNativeError(error) ? error.code : String(error)),
  );
}

test('it exports what binding.ts declares, no more and no less', async () => {
  const path = fileURLToPath(new URL('../../src/native/binding.ts', import.meta.url));
  const source = ts.createSourceFile(path, await readFile(path, 'utf8'), ts.ScriptTarget.ES2023);
  const binding = source.statements.find(
    (one) => ts.isInterfaceDeclaration(one) && one.name.text === 'NativeBinding',
  );
  if (binding === undefined || !ts.isInterfaceDeclaration(binding))
    throw new Error('no interface NativeBinding');
  const declared = binding.members.map((member) => (member.name as ts.Identifier).text);
  expect(Object.keys(native()).sort()).toEqual(declared.sort());
});

test('the engine is chosen once', () => {
  expect(codeOf(() => native().openIo({ engine: 'auto' }))).toBe('EALREADY');
});

test('a set tells of itself and its legs', async () => {
  const devices = [await image('a'), await image('b')];
  const snapshot = openSet(setOptions(devices)).snapshot();
  expect(snapshot).toMatchObject({
    name: 'data',
    count: 2048,
    state: 'complete',
    readBits: 0n,
    writeBits: 0n,
    flushBits: 0n,
  });
  expect(snapshot.legs.map(({ device, state, health }) => ({ device, state, health }))).toEqual(
    devices.map((device) => ({ device, state: 'in-sync', health: 'A' })),
  );
});

test('a leg that is not there is missing; one that may not be used is an error that names it', async () => {
  const [a, small] = [await image('a'), await image('small', MIB / 2)];
  const set = openSet(setOptions([a, join(directory, 'gone')]));
  expect(set.snapshot().legs.map((leg) => leg.state)).toEqual(['in-sync', 'missing']);
  expect(set.snapshot().state).toBe('degraded');
  const refused: readonly [string, string][] = [
    [small, 'ENOSPC'],
    [directory, 'ENOTBLK'],
  ];
  for (const [device, code] of refused) {
    try {
      openSet(setOptions([await image(`other-${code}`), device]));
      expect.unreachable(device);
    } catch (error) {
      expect(isNativeError(error) && error.code).toBe(code);
      expect(isNativeError(error) && error.object).toBe(device);
    }
  }
});

test('a set none of whose legs can be opened does not start', () => {
  expect(codeOf(() => openSet(setOptions([join(directory, 'x'), join(directory, 'y')])))).toBe('ENXIO');
});

test('a failed leg is told as an event, and the last one cannot be failed', async () => {
  const events: SetEvent[] = [];
  const set = openSet(setOptions([await image('a'), await image('b')]), (event) => events.push(event));
  await set.failLeg(1);
  expect(set.snapshot().legs[1]?.state).toBe('failed');
  await expect.poll(() => events.map(({ kind, leg }) => `${kind} ${String(leg)}`)).toContain('leg-failed 1');
  expect(await rejection(set.failLeg(0))).toBe('EBUSY');
  expect(await rejection(set.failLeg(7))).toBe('EINVAL');
});

test('stop closes the devices, more than once is no error, and they can be opened again', async () => {
  const devices = [await image('a'), await image('b')];
  const set = openSet(setOptions(devices));
  // Another process: the I/O regions of one may lie on one device.
  const locked = (path: string): boolean => {
    const script = 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)';
    return spawnSync('python3', ['-c', script, path], { stdio: 'ignore' }).status !== 0;
  };
  expect(devices.map(locked)).toEqual([true, true]);
  await set.stop();
  await set.stop();
  expect(devices.map(locked)).toEqual([false, false]);
  expect(openSet(setOptions(devices)).snapshot().state).toBe('complete');
});

test('a set cannot be made or imitated in JavaScript', async () => {
  const set = openSet(setOptions([await image('a')]));
  const constructor = set.constructor as new () => NativeSet;
  expect(() => new constructor()).toThrow(TypeError);
  const imitation = Object.create(Object.getPrototypeOf(set) as object) as NativeSet;
  expect(() => imitation.snapshot()).toThrow();
  const sets = [
    { set: imitation, name: 'x', mode: 0, uid: 0, gid: 0, truncate: 'zero', cache: 'auto', readOnly: false },
  ] as const;
  expect(() => native().fuseAttach({ sets, onEnd: () => undefined })).toThrow(TypeError);
});

test('wrong arguments are TypeErrors, and nothing is done', async () => {
  const device = await image('a');
  const binding = native() as unknown as Record<string, (...args: unknown[]) => unknown>;
  const wrong: readonly [string, ...unknown[]][] = [
    ['probeDevice', 5],
    ['getXattr', 'x'],
    ['setXattr', 'x', 'y', 'z'],
    ['umount'],
    ['openIo'],
    ['openIo', { engine: 'steam' }],
    ['faultAdd', {}],
    ['faultAdd', { action: 'explode' }],
    ['openSet', {}],
    ['openSet', setOptions([device]), 5],
    ['openSet', { ...setOptions([device]), count: -1 }, () => undefined],
    ['openSet', { ...setOptions([device]), syncRegionSectors: 1000 }, () => undefined],
    ['openSet', { ...setOptions([device]), readPolicy: 'best' }, () => undefined],
    ['openSet', { ...setOptions([]), legs: [5] }, () => undefined],
    ['fuseLoad'],
    ['fuseAttach', {}],
    ['fuseAttach', { sets: [{}], onEnd: () => undefined }],
    ['fuseCounters', 4711],
    ['fuseSession'],
    ['fuseSetAttr', 4711, 'x', {}],
  ];
  for (const [name, ...args] of wrong) {
    expect(`${name}: ${codeOf(() => binding[name]?.(...args))}`).toBe(`${name}: TypeError`);
  }
  expect(openSet(setOptions([device])).snapshot().state).toBe('complete');
});

test('attributes of a file are read and written, with the errno of what fails', async () => {
  const path = await image('a');
  await native().setXattr(path, 'user.dmiofs.test', Buffer.from('value'));
  expect((await native().getXattr(path, 'user.dmiofs.test')).toString()).toBe('value');
  expect(await rejection(native().getXattr(path, 'user.none'))).toBe('ENODATA');
  expect(await rejection(native().getXattr(join(directory, 'none'), 'user.x'))).toBe('ENOENT');
});

test('umount of what is no mountpoint is EINVAL, and a symbolic link is not followed', async () => {
  expect(await rejection(native().umount(directory, false))).toBe('EINVAL');
  expect(await rejection(native().umount(join(directory, 'none'), false))).toBe('ENOENT');
});

test('libfuse must be libfuse 2.9', async () => {
  const path = join(directory, 'not-a-library.so');
  await writeFile(path, 'no');
  expect(
    codeOf(() => {
      native().fuseLoad(path);
    }),
  ).toBe('ELIBACC');
});

test('an attached mount counts from zero, and has no session yet', async () => {
  const set = openSet(setOptions([await image('a')]));
  const file = {
    set,
    name: 'data',
    mode: 0o600,
    uid: 0,
    gid: 0,
    truncate: 'zero',
    cache: 'auto',
    readOnly: false,
  } as const;
  const id = native().fuseAttach({ sets: [file], onEnd: () => undefined });
  expect(native().fuseCounters(id)).toEqual({ native: 0, forwarded: 0, read: 0, write: 0, getattr: 0 });
  expect(native().fuseSession(id)).toMatchObject({ shim: false, kernelMinor: 0 });
  expect(
    codeOf(() => {
      native().fuseSetAttr(id, 'other', { mode: 0 });
    }),
  ).toBe('ENOENT');
});

test('lines of the log go to the sink', async () => {
  const lines: string[] = [];
  native().setLogSink((level, line) => lines.push(`${level} ${line}`));
  openSet(setOptions([await image('a'), join(directory, 'gone')]));
  await expect.poll(() => lines.join('\n')).toContain('warn set data: leg 1 is missing');
});

/** Runs `body` in an environment of its own: `binding`, `directory` and `options` are what it can use. */
async function inWorker(body: string, how: 'ends' | 'is terminated', data: object): Promise<void> {
  const addon = fileURLToPath(new URL('../../build/Release/dmiofs.node', import.meta.url));
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    const holder = { exports: {} };
    process.dlopen(holder, workerData.addon);
    const binding = holder.exports;
    ${body}
    parentPort.postMessage('done');
    ${how === 'ends' ? '' : 'setInterval(() => undefined, 1000);'}`;
  const worker = new Worker(source, { eval: true, workerData: { addon, ...data } });
  const ended = new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => {
      resolve();
    });
  });
  await Promise.race([new Promise((resolve) => worker.once('message', resolve)), ended]);
  if (how === 'is terminated') await worker.terminate();
  await ended;
}

test.each(['ends', 'is terminated'] as const)(
  'an environment that %s takes its callbacks with it, and the sets live on',
  async (how) => {
    const devices = [await image('a'), await image('b')];
    const lines: string[] = [];
    await inWorker(
      `binding.setLogSink(() => undefined);
     globalThis.set = binding.openSet(workerData.options, () => undefined);
     globalThis.set.stop();`,
      how,
      { options: setOptions(devices) },
    );
    // The worker's sink is closed: a line goes to stderr instead of into an environment that is gone.
    openSet(setOptions([await image('c'), join(directory, 'gone')]));
    native().setLogSink((_level, line) => lines.push(line));
    openSet(setOptions([await image('d'), join(directory, 'gone')]));
    await expect.poll(() => lines.length).toBeGreaterThan(0);
  },
);

test('a process that ends with a set open, and one that fails legs to the last moment, ends in order', async () => {
  const devices = [await image('a'), await image('b')];
  const addon = fileURLToPath(new URL('../../build/Release/dmiofs.node', import.meta.url));
  const script = `
    const holder = { exports: {} };
    process.dlopen(holder, ${JSON.stringify(addon)});
    const set = holder.exports.openSet(${JSON.stringify(setOptions(devices))}, () => undefined);
    holder.exports.setLogSink(() => undefined);
    for (let i = 0; i < 20; i++) set.failLeg(1).catch(() => undefined);
    process.exit(7);`;
  const result = await run(process.execPath, ['-e', script]).then(
    () => 0,
    (error: unknown) => (error as { code: number }).code,
  );
  expect(result).toBe(7);
});
