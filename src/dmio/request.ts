/**
 * One request core for all services: sync blocks its thread, async calls back once, in a later turn of the loop.
 *
 *     async request:  checked -> started (held here, with its memory) -> completed (callback, exactly once)
 */
import { constants } from 'node:os';
import { native } from '../native/binding.js';
import type { NativeOp, NativeRequest } from '../native/dmio.js';
import type { DmiofsError } from '../errors.js';
import { checkRegions, invalid, type IoRegion } from './io-region.js';
import type { Memory } from './memory.js';

export const READ = 0;
export const WRITE = 1;
export type Rw = typeof READ | typeof WRITE;
export const FLUSH = 2;
export const DISCARD = 3;
export const WRITE_ZEROES = 4;

/** No bit is on: shared, so that a success costs no allocation. */
const NO_ERROR = 0n;
const EIO = -constants.errno.EIO;

export interface DmIoResult {
  /** 0, or -EIO when an I/O to any region failed. */
  readonly error: number;
  /** Bit i is on when an I/O to regions[i] failed. */
  readonly errorBits: bigint;
  /** By region: 0, or the positive errno of its first failure. */
  readonly errnos: readonly number[];
}

export type Complete = (errorBits: bigint, errnos: readonly number[]) => void;

interface Pending {
  readonly regions: readonly IoRegion[];
  /** Referenced until the request has ended: the device writes into it. */
  readonly memory: Memory;
  readonly complete: Complete;
}

const pending = new Map<number, Pending>();
let nextId = 1;
let listening = false;
/** Keeps the process alive while requests are in flight. */
let alive: NodeJS.Timeout | undefined;

function toRequest(op: NativeOp, regions: readonly IoRegion[], memory: Memory): NativeRequest {
  return [
    op,
    regions.map(({ bdev }) => bdev.beginRequest()),
    regions.map(({ sector }) => sector),
    regions.map(({ count }) => count),
    memory.kind,
    memory.pieces,
    memory.offsets,
    memory.lengths,
  ];
}

function endRequests(regions: readonly IoRegion[]): void {
  for (const { bdev } of regions) bdev.endRequest();
}

function refused(err: number): DmiofsError {
  return invalid(`the request was refused: errno ${String(-err)}`);
}

function onComplete(flat: readonly (number | bigint | readonly number[] | null)[]): void {
  for (let at = 0; at < flat.length; at += 3) {
    const id = flat[at] as number;
    const request = pending.get(id);
    if (request === undefined) continue;
    pending.delete(id);
    endRequests(request.regions);
    const bits = flat[at + 1] as 0 | bigint;
    const errnos = flat[at + 2] as readonly number[] | null;
    try {
      request.complete(bits === 0 ? NO_ERROR : bits, errnos ?? request.regions.map(() => 0));
    } catch (error) {
      // A callback's own error is its program's; the others of this batch still get their call.
      process.nextTick(() => {
        throw error;
      });
    }
  }
  if (pending.size === 0) alive?.unref();
}

/** Starts a request. Throws, and calls nothing, when an argument is wrong. */
export function startRequest(
  op: NativeOp,
  regions: readonly IoRegion[],
  memory: (needed: number) => Memory,
  complete: Complete,
): void {
  const needed = checkRegions(regions, op !== READ);
  const held = memory(needed);
  const binding = native();
  if (!listening) {
    binding.dmioListen(onComplete);
    alive = setInterval(() => undefined, 2 ** 30);
    listening = true;
  }
  const id = nextId++;
  const copy = regions.slice();
  let err: number;
  const request = toRequest(op, copy, held);
  pending.set(id, { regions: copy, memory: held, complete });
  alive?.ref();
  try {
    err = binding.dmioStart(id, ...request);
  } catch (error) {
    pending.delete(id);
    endRequests(copy);
    throw error;
  }
  if (err === 0) return;
  pending.delete(id);
  endRequests(copy);
  if (pending.size === 0) alive?.unref();
  throw refused(err);
}

/** Runs a request to its end on this thread. */
export function runRequest(
  op: NativeOp,
  regions: readonly IoRegion[],
  memory: (needed: number) => Memory,
): DmIoResult {
  const needed = checkRegions(regions, op !== READ);
  const held = memory(needed);
  const request = toRequest(op, regions, held);
  try {
    const outcome = native().dmioRun(...request);
    if (typeof outcome === 'number') throw refused(outcome);
    const [bits, errnos] = outcome;
    return {
      error: bits === 0 ? 0 : EIO,
      errorBits: bits === 0 ? NO_ERROR : bits,
      errnos: errnos ?? regions.map(() => 0),
    };
  } finally {
    endRequests(regions);
  }
}

/** The promise form: rejects for wrong arguments only; a failed I/O is in the result. */
export function promiseRequest(
  op: NativeOp,
  regions: readonly IoRegion[],
  memory: (needed: number) => Memory,
): Promise<DmIoResult> {
  return new Promise((resolve, reject) => {
    try {
      startRequest(op, regions, memory, (errorBits, errnos) => {
        resolve({ error: errorBits === NO_ERROR ? 0 : EIO, errorBits, errnos });
      });
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

export function checkRw(rw: number): NativeOp {
  if (rw !== READ && rw !== WRITE) throw invalid(`rw must be READ or WRITE, not ${String(rw)}`);
  return rw;
}
