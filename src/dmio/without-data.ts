/** Flush, discard and write-zeroes of I/O regions, with the same results as the six services. What a device cannot do is made of writes. */
import type { IoRegion } from './io-region.js';
import { NO_MEMORY } from './memory.js';
import { DISCARD, type DmIoResult, FLUSH, promiseRequest, runRequest, WRITE_ZEROES } from './request.js';

const none = (): typeof NO_MEMORY => NO_MEMORY;

/** Brings what was written before to stable storage; a region's count does not matter, also 0 is flushed. */
export const flush = (regions: readonly IoRegion[]): Promise<DmIoResult> =>
  promiseRequest(FLUSH, regions, none);
export const flushSync = (regions: readonly IoRegion[]): DmIoResult => runRequest(FLUSH, regions, none);

/** Lets the devices have the space back; the regions read as zeros afterwards, on every device. */
export const discard = (regions: readonly IoRegion[]): Promise<DmIoResult> =>
  promiseRequest(DISCARD, regions, none);
export const discardSync = (regions: readonly IoRegion[]): DmIoResult => runRequest(DISCARD, regions, none);

/** The regions read as zeros afterwards. */
export const writeZeroes = (regions: readonly IoRegion[]): Promise<DmIoResult> =>
  promiseRequest(WRITE_ZEROES, regions, none);
export const writeZeroesSync = (regions: readonly IoRegion[]): DmIoResult =>
  runRequest(WRITE_ZEROES, regions, none);
