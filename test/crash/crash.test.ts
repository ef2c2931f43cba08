/**
 * Crashes: the daemon is killed at random moments under several writers, again and again. After each restart every acknowledged write is there, an
 * unacknowledged one is whole or not there, and legs are identical once nothing is left to copy.
 *
 *   DMIOFS_CRASH_ROUNDS=1000 DMIOFS_CRASH_SEED=7 npx vitest run --project crash
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import { canMount, DMIOFS, legsEqual, must, type OneSet, oneSet, run, until } from '../helpers/mounted.js';

const WRITER = fileURLToPath(new URL('./writer.mjs', import.meta.url));
const BLOCK = 4096;
const BLOCKS = 1024;
const WRITERS = 3;
const ROUNDS = Number(process.env['DMIOFS_CRASH_ROUNDS'] ?? '25');
const SEED = Number(process.env['DMIOFS_CRASH_SEED'] ?? String(Date.now() % 100_000));

let state = SEED;
function random(bound: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
}

let open: OneSet | undefined;
afterEach(async () => {
  await open?.scene.close();
  open = undefined;
});

/** What each block may hold: the sequence that was acknowledged last, and any that was started after it. */
class Journal {
  readonly #acknowledged = new Map<number, number>();
  readonly #started = new Map<number, Set<number>>();
  next = 1;

  line(text: string): void {
    const [what, blockText, sequenceText] = text.split(' ');
    const [block, sequence] = [Number(blockText), Number(sequenceText)];
    if (what === 'S') {
      const started = this.#started.get(block) ?? new Set();
      started.add(sequence);
      this.#started.set(block, started);
      this.next = Math.max(this.next, sequence + 1);
    } else if (what === 'A') {
      this.#acknowledged.set(block, sequence);
      this.#started.delete(block);
    }
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Why the block's content is wrong; undefined: it is right. It is then all that the block may hold from now on. */
  check(block: number, data: Buffer): string | undefined {
    const index = block % WRITERS;
    const stamps = new Set<string>();
    for (let at = 0; at < BLOCK; at += 16) stamps.add(data.toString('hex', at, at + 16));
    if (stamps.size !== 1) return `block ${String(block)} is torn`;
    const empty = data.every((byte) => byte === 0);
    const sequence = empty ? 0 : data.readUInt32LE(8);
    if (!empty && (data.readUInt32LE(4) !== index || data.readUInt32LE(12) !== block))
      return `block ${String(block)} holds another's data`;
    const acknowledged = this.#acknowledged.get(block) ?? 0;
    if (sequence !== acknowledged && this.#started.get(block)?.has(sequence) !== true) {
      return `block ${String(block)} holds write ${String(sequence)}, but ${String(acknowledged)} was acknowledged`;
    }
    this.#acknowledged.set(block, sequence);
    this.#started.delete(block);
    return undefined;
  }
}

/** Starts the writers, kills the daemon after a while, waits until the writers have noticed. */
async function crashRound(set: OneSet, journal: Journal, round: number): Promise<void> {
  const { pid } = await set.scene.status(set.mountpoint);
  let lines = 0;
  const writers = Array.from({ length: WRITERS }, (_, index) => {
    const mode = (index + round) % 2 === 0 ? 'direct' : 'buffered';
    const child = set.scene.spawn(process.execPath, [
      WRITER,
      set.file,
      String(index),
      String(WRITERS),
      String(BLOCKS),
      String(SEED + round),
      String(journal.next),
      mode,
    ]);
    let rest = '';
    child.stdout?.on('data', (data: Buffer) => {
      const parts = (rest + data.toString('latin1')).split('\n');
      rest = parts.pop() ?? '';
      lines += parts.length;
      for (const part of parts) journal.line(part);
    });
    return new Promise<void>((resolve) => {
      child.on('close', () => {
        resolve();
      });
    });
  });
  const enough = 10 + random(400);
  await until('the writers write', () => (lines >= enough ? true : undefined));
  process.kill(pid, 'SIGKILL');
  await Promise.all(writers);
  await until('the daemon ends', () => (isRunning(pid) ? undefined : true));
}

async function content(set: OneSet): Promise<Buffer> {
  const copy = set.scene.path('content');
  await must('dd', `if=${set.file}`, `of=${copy}`, 'bs=1M', 'iflag=direct', 'status=none');
  return readFileSync(copy);
}

function checkAll(journal: Journal, data: Buffer, what: string): void {
  const wrong: string[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const reason = journal.check(block, data.subarray(block * BLOCK, (block + 1) * BLOCK));
    if (reason !== undefined) wrong.push(reason);
  }
  expect(wrong, `${what}, seed ${String(SEED)}`).toEqual([]);
}

const options = { bytes: BLOCKS * BLOCK, set: { log: { region_size: '16KiB' } } };

describe.skipIf(!canMount)(`a daemon that is killed (seed ${String(SEED)})`, () => {
  it(`${String(ROUNDS)} times under three writers loses nothing`, { timeout: ROUNDS * 20_000 }, async () => {
    const set = await oneSet({ ...options, legs: 3 });
    open = set;
    const journal = new Journal();
    for (let round = 0; round < ROUNDS; round++) {
      await crashRound(set, journal, round);
      await set.scene.mount(set.config, set.mountpoint);
      // At once, while what was in flight is still being copied: reads are right already.
      checkAll(journal, await content(set), `round ${String(round)}`);
      if (round % 5 !== 4) continue;
      await must(DMIOFS, 'wait', set.file, '--timeout', '30s');
      await set.scene.umount(set.mountpoint);
      expect(legsEqual(set), `round ${String(round)}, seed ${String(SEED)}`).toBe(true);
      await set.scene.mount(set.config, set.mountpoint);
    }
    expect(journal.acknowledged).toBeGreaterThan(100);
  });

  it('while a leg fails loses nothing, and the leg that missed writes is never served', {
    timeout: 120_000,
  }, async () => {
    const set = await oneSet(options);
    open = set;
    const journal = new Journal();
    for (let round = 0; round < 4; round++) {
      await set.scene.umount(set.mountpoint).catch(() => undefined);
      const failing = round % 2;
      const rules = [
        { device: set.legs[failing], action: 'error', ops: ['write'], skip: random(60), times: 1 },
      ];
      await set.scene.mount(set.config, set.mountpoint, '--fault-rules', JSON.stringify(rules));
      await crashRound(set, journal, 100 + round);
      await set.scene.mount(set.config, set.mountpoint);
      checkAll(journal, await content(set), `failing round ${String(round)}`);
      const status = await set.scene.set(set.file);
      if (status.legs[failing]?.state === 'failed') {
        expect(status.read_leg).toBe(1 - failing);
        await must(DMIOFS, 're-add', set.file, String(failing));
      }
      await must(DMIOFS, 'wait', set.file, '--timeout', '30s');
      expect((await set.scene.set(set.file)).state).toBe('complete');
      checkAll(journal, await content(set), `re-added round ${String(round)}`);
    }
    await set.scene.umount(set.mountpoint);
    expect(legsEqual(set)).toBe(true);
  });

  it('after its log failed has acknowledged nothing that is not there', { timeout: 60_000 }, async () => {
    const set = await oneSet(options);
    open = set;
    await set.scene.umount(set.mountpoint);
    const log = join(set.scene.path('state'), 'data.log');
    const rules = [{ device: log, action: 'error', ops: ['write', 'flush'], skip: 12, error: 28 }];
    await set.scene.mount(set.config, set.mountpoint, '--fault-rules', JSON.stringify(rules));
    const journal = new Journal();
    const { pid } = await set.scene.status(set.mountpoint);
    const ran = await run(process.execPath, [
      WRITER,
      set.file,
      '0',
      String(WRITERS),
      String(BLOCKS),
      String(SEED),
      '1',
      'direct',
    ]);
    for (const line of ran.stdout.split('\n')) journal.line(line);
    expect(ran.stdout).toContain('E EIO');
    const status = await set.scene.set(set.file);
    expect(status.log).toBe('failed');
    // Reads go on.
    checkAll(journal, await content(set), 'with the log failed');
    process.kill(pid, 'SIGKILL');
    await until('the daemon ends', () => (isRunning(pid) ? undefined : true));
    await set.scene.mount(set.config, set.mountpoint);
    checkAll(journal, await content(set), 'after the log failed');
    await must(DMIOFS, 'wait', set.file, '--timeout', '30s');
    await set.scene.umount(set.mountpoint);
    expect(legsEqual(set)).toBe(true);
  });
});
