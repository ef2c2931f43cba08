/**
 * `dmiofs/dmio`: the services of the kernel's dm-io, for programs. Reads from one I/O region, writes to one or several at once, with error bits by
 * region, over three kinds of memory. docs/dm-io.md maps the kernel's text to it.
 */
export { BlockDevice, type BlockDeviceOptions } from './block-device.js';
export {
  dmIo,
  dmIoAsync,
  dmIoAsyncBvec,
  dmIoAsyncVm,
  dmIoBvec,
  dmIoSync,
  dmIoSyncBvec,
  dmIoSyncVm,
  dmIoVm,
  type IoNotifyFn,
} from './calls.js';
export {
  addFault,
  clearFaults,
  configureDmIo,
  removeFault,
  type EngineKind,
  type FaultRule,
  type IoInfo,
} from './configure.js';
export { type IoRegion, MAX_IO_REGIONS, SECTOR_SIZE } from './io-region.js';
export { type BioVec, PAGE_SIZE, type PageList } from './memory.js';
export { dmIoGet, dmIoPut } from './pages.js';
export { type DmIoResult, READ, type Rw, WRITE } from './request.js';
export { discard, discardSync, flush, flushSync, writeZeroes, writeZeroesSync } from './without-data.js';
