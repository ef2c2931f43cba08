/** The page reserve: how much I/O is expected to be in flight at once (the kernel's dm_io_get and dm_io_put). */
import { DmiofsError } from '../errors.js';
import { native } from '../native/binding.js';
import { invalid } from './io-region.js';

/** One reserve for the process, as in the kernel: at most this many pages in one call. */
const MOST_PAGES = 2 ** 31;

function checkPages(numPages: number): void {
  if (!Number.isSafeInteger(numPages) || numPages < 0 || numPages >= MOST_PAGES) {
    throw invalid(`numPages must be a whole number of pages from 0 to 2^31 - 1, not ${String(numPages)}`);
  }
}

/** Raises the reserve. It is a hint: I/O beyond it waits, in order, and is never refused. */
export function dmIoGet(numPages: number): void {
  checkPages(numPages);
  native().dmioGet(numPages);
}

/** Lowers it by what was got; more than that is an error, and changes nothing. */
export function dmIoPut(numPages: number): void {
  checkPages(numPages);
  if (native().dmioPut(numPages) !== 0) {
    throw new DmiofsError(
      'ERR_DMIOFS_UNBALANCED',
      `dmIoPut(${String(numPages)}): fewer pages than that were got`,
    );
  }
}
