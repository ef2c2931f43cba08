/** `dmiofs metrics` of real mounts: what is told is what was done, and a collector can read it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  canMount,
  DMIOFS,
  dmiofs,
  must,
  type OneSet,
  oneSet,
  type Scene,
  sh,
  until,
} from '../helpers/mounted.js';
import { type Family, parsePrometheus, valueOf } from '../helpers/prometheus.js';

const scenes: Scene[] = [];
async function mounted(options: Parameters<typeof oneSet>[0] = {}): Promise<OneSet> {
  const one = await oneSet({ ...options, set: { log: { region_size: 64 * 1024 }, ...options.set } });
  scenes.push(one.scene);
  return one;
}
const metricsOf = async (...args: readonly string[]): Promise<ReadonlyMap<string, Family>> =>
  parsePrometheus(await must(DMIOFS, 'metrics', ...args));

/** The address that `metrics --listen` says it listens on. */
async function listening(scene: Scene, ...args: readonly string[]): Promise<string> {
  const child = scene.spawn(DMIOFS, ['metrics', ...args]);
  let said = '';
  child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  return until('it listens', () => /http:\S+/.exec(said)?.[0]);
}

describe.skipIf(!canMount)('metrics', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('count what each leg did, in bytes and by what it took', async () => {
    const one = await mounted({ legs: 3 });
    const rule = { action: 'delay', device: one.legs[1], ops: ['write'], delayMs: 70 };
    await one.scene.umount(one.mountpoint);
    await one.scene.mount(one.config, one.mountpoint, '--fault-rules', JSON.stringify([rule]));
    await sh(`dd if=/dev/urandom of=${one.file} bs=64k count=5 conv=notrunc,fsync oflag=direct status=none
      dd if=${one.file} of=/dev/null bs=64k count=3 iflag=direct status=none`);
    await must(DMIOFS, 'fail', one.file, '2');
    const metrics = await metricsOf(one.mountpoint);
    for (const { name, help } of metrics.values()) {
      expect(name).toMatch(/^dmiofs_/);
      expect(help.length).toBeGreaterThan(10);
    }
    for (const leg of ['0', '1', '2']) {
      expect(valueOf(metrics, 'dmiofs_leg_bytes_total', { leg, operation: 'write' })).toBe(5 * 65536);
      expect(valueOf(metrics, 'dmiofs_leg_operations_total', { leg, operation: 'write' })).toBe(5);
    }
    expect(valueOf(metrics, 'dmiofs_leg_bytes_total', { leg: '0', operation: 'read' })).toBe(3 * 65536);
    const duration = 'dmiofs_leg_operation_duration_seconds';
    expect(valueOf(metrics, `${duration}_sum`, { leg: '1', operation: 'write' })).toBeGreaterThanOrEqual(
      0.35,
    );
    expect(valueOf(metrics, `${duration}_bucket`, { leg: '1', operation: 'write', le: '0.065536' })).toBe(0);
    expect(valueOf(metrics, `${duration}_bucket`, { leg: '1', operation: 'write', le: '+Inf' })).toBe(5);
    expect(valueOf(metrics, 'dmiofs_leg_state', { leg: '2', state: 'failed' })).toBe(1);
    expect(valueOf(metrics, 'dmiofs_leg_state', { leg: '0', state: 'failed' })).toBe(0);
    expect(valueOf(metrics, 'dmiofs_leg_errors_total', { leg: '2', kind: 'write' })).toBe(1);
    expect(valueOf(metrics, 'dmiofs_set_state', { set: 'data', state: 'degraded' })).toBe(1);
    expect(valueOf(metrics, 'dmiofs_sync_regions')).toBe(one.bytes / 65536);
    // Neighbours of what is written are marked with it.
    expect(valueOf(metrics, 'dmiofs_sync_regions_dirty')).toBeGreaterThanOrEqual(5);
    expect(valueOf(metrics, 'dmiofs_sync_action', { action: 'idle' })).toBe(1);
    expect(valueOf(metrics, 'dmiofs_up', { mountpoint: one.mountpoint })).toBe(1);
    expect(valueOf(metrics, 'dmiofs_process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(valueOf(metrics, 'dmiofs_process_open_fds')).toBeGreaterThan(3);
    expect(valueOf(metrics, 'dmiofs_abandoned_buffers')).toBe(0);
    expect(metrics.get('dmiofs_leg_info')?.samples[1]?.labels['device']).toBe(one.legs[1]);
  });

  it('are written to a file whole or not at all', async () => {
    const one = await mounted();
    const file = one.scene.path('dmiofs.prom');
    await must(DMIOFS, 'metrics', '--output', file);
    expect(
      valueOf(parsePrometheus(readFileSync(file, 'utf8')), 'dmiofs_set_size_bytes', {
        mountpoint: one.mountpoint,
      }),
    ).toBe(one.bytes);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(dirname(file)).filter((name) => name.startsWith('dmiofs.prom'))).toEqual([
      'dmiofs.prom',
    ]);
    const { code, stderr } = await dmiofs('metrics', '--output', one.scene.path('no/such/folder.prom'));
    expect(code).toBe(1);
    expect(stderr).toContain('--output');
  });

  it('are served on the loopback interface, of the mounts that there are at that time', async () => {
    const one = await mounted();
    const url = await listening(one.scene, '--listen', '0');
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[0-9]+\/metrics$/);
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(valueOf(parsePrometheus(await answer.text()), 'dmiofs_up', { mountpoint: one.mountpoint })).toBe(
      1,
    );
    expect((await fetch(url.replace('metrics', 'elsewhere'))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    await one.scene.umount(one.mountpoint);
    const gone = parsePrometheus(await (await fetch(url)).text());
    const still = gone.get('dmiofs_up')?.samples.map(({ labels }) => labels['mountpoint']) ?? [];
    expect(still).not.toContain(one.mountpoint);
    const other = await dmiofs('metrics', '--listen', url.replace(/^http:\/\/|\/metrics$/g, ''));
    expect(other).toMatchObject({ code: 1 });
    expect(other.stderr).toContain('EADDRINUSE');
    expect(await dmiofs('metrics', '--listen', 'here')).toMatchObject({ code: 1 });
  });

  it('tell that a daemon does not answer, again and again, and go on with the others', async () => {
    const [one, hung] = [await mounted(), await mounted()];
    const url = await listening(one.scene, '--listen', '127.0.0.1:0');
    const { pid } = await hung.scene.status(hung.mountpoint);
    process.kill(pid, 'SIGSTOP');
    try {
      // More requests than there are worker threads: each finds the same question under way.
      for (let round = 0; round < 3; round++) {
        const metrics = parsePrometheus(await (await fetch(url)).text());
        expect(valueOf(metrics, 'dmiofs_up', { mountpoint: hung.mountpoint })).toBe(0);
        expect(valueOf(metrics, 'dmiofs_up', { mountpoint: one.mountpoint })).toBe(1);
      }
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const up = async (): Promise<true | undefined> => {
      const metrics = parsePrometheus(await (await fetch(url)).text());
      return valueOf(metrics, 'dmiofs_up', { mountpoint: hung.mountpoint }) === 1 ? true : undefined;
    };
    await until('it is up again', up);
  });
});
