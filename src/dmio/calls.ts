/** The six services of the kernel's dm-io text, over one request core, and their promise forms. */
import { invalid, type IoRegion } from './io-region.js';
import { type BioVec, bvecMemory, type PageList, pageListMemory, vmMemory } from './memory.js';
import { type DmIoResult, checkRw, promiseRequest, type Rw, runRequest, startRequest } from './request.js';

/** The kernel's io_notify_fn: called exactly once, never before the call that started the I/O has returned. */
export type IoNotifyFn<Context = unknown> = (error: bigint, context: Context) => void;

function checkFn(fn: unknown): void {
  if (typeof fn !== 'function') throw invalid('fn must be a function: (error, context) => void');
}

export function dmIoSync(
  regions: readonly IoRegion[],
  rw: Rw,
  pageList: PageList | null,
  offset: number,
): DmIoResult {
  return runRequest(checkRw(rw), regions, (needed) => pageListMemory(pageList, offset, needed));
}

export function dmIoAsync<Context>(
  regions: readonly IoRegion[],
  rw: Rw,
  pageList: PageList | null,
  offset: number,
  fn: IoNotifyFn<Context>,
  context: Context,
): void {
  checkFn(fn);
  const memory = (needed: number): ReturnType<typeof pageListMemory> =>
    pageListMemory(pageList, offset, needed);
  startRequest(checkRw(rw), regions, memory, (error) => {
    fn(error, context);
  });
}

export function dmIoSyncBvec(regions: readonly IoRegion[], rw: Rw, bvec: readonly BioVec[]): DmIoResult {
  return runRequest(checkRw(rw), regions, (needed) => bvecMemory(bvec, needed));
}

export function dmIoAsyncBvec<Context>(
  regions: readonly IoRegion[],
  rw: Rw,
  bvec: readonly BioVec[],
  fn: IoNotifyFn<Context>,
  context: Context,
): void {
  checkFn(fn);
  startRequest(
    checkRw(rw),
    regions,
    (needed) => bvecMemory(bvec, needed),
    (error) => {
      fn(error, context);
    },
  );
}

/** `data`: any typed array, of any size. It must not be changed, nor its buffer transferred, before the I/O has ended. */
export function dmIoSyncVm(regions: readonly IoRegion[], rw: Rw, data: ArrayBufferView): DmIoResult {
  return runRequest(checkRw(rw), regions, (needed) => vmMemory(data, needed));
}

export function dmIoAsyncVm<Context>(
  regions: readonly IoRegion[],
  rw: Rw,
  data: ArrayBufferView,
  fn: IoNotifyFn<Context>,
  context: Context,
): void {
  checkFn(fn);
  startRequest(
    checkRw(rw),
    regions,
    (needed) => vmMemory(data, needed),
    (error) => {
      fn(error, context);
    },
  );
}

// ---- promise forms: they resolve with the result of the sync call, and reject for wrong arguments only ----

export function dmIo(
  regions: readonly IoRegion[],
  rw: Rw,
  pageList: PageList | null,
  offset: number,
): Promise<DmIoResult> {
  return promiseRequest(rw, regions, (needed) => {
    checkRw(rw);
    return pageListMemory(pageList, offset, needed);
  });
}

export function dmIoBvec(regions: readonly IoRegion[], rw: Rw, bvec: readonly BioVec[]): Promise<DmIoResult> {
  return promiseRequest(rw, regions, (needed) => {
    checkRw(rw);
    return bvecMemory(bvec, needed);
  });
}

export function dmIoVm(regions: readonly IoRegion[], rw: Rw, data: ArrayBufferView): Promise<DmIoResult> {
  return promiseRequest(rw, regions, (needed) => {
    checkRw(rw);
    return vmMemory(data, needed);
  });
}
