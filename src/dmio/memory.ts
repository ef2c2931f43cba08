/**
 * The three kinds of memory of dm-io, and their checks: a page list with an offset into its first page, an array of bio vectors, one buffer of
 * any size. Their common form is what the addon takes.
 */
import type { NativeMemoryKind } from '../native/dmio.js';
import { invalid, SECTOR_SIZE } from './io-region.js';

export const PAGE_SIZE = 4096;

/** The kernel's struct page_list. */
export interface PageList {
  /** 4096 bytes. */
  readonly page: Uint8Array;
  readonly next: PageList | null;
}

/** The kernel's struct bio_vec: `len` bytes of `page`, from `offset`. */
export interface BioVec {
  readonly page: Uint8Array;
  /** Bytes; a multiple of 512. */
  readonly len: number;
  /** Bytes. */
  readonly offset: number;
}

export interface Memory {
  readonly kind: NativeMemoryKind;
  readonly pieces: readonly Uint8Array[];
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
}

export const NO_MEMORY: Memory = { kind: 3, pieces: [], offsets: [], lengths: [] };

/** A plain Uint8Array over the same bytes: Buffers and other typed arrays are views too. */
function bytesOf(view: ArrayBufferView, name: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw invalid(`${name} must be a Buffer or another typed array`);
  if ('resizable' in view.buffer && view.buffer.resizable === true)
    throw invalid(`${name} lies in a resizable ArrayBuffer, which could shrink while I/O runs on it`);
  if (view instanceof Uint8Array) return view;
  try {
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } catch {
    throw invalid(`${name} has no bytes any more: its buffer was transferred`);
  }
}

function checkEnough(held: number, needed: number, name: string): void {
  if (held < needed)
    throw invalid(
      `${name} holds ${String(held)} bytes, and the I/O regions need ${String(needed)} (was its buffer transferred?)`,
    );
}

/** Walks no further than `needed` bytes: the list may be longer. */
export function pageListMemory(list: PageList | null, offset: number, needed: number): Memory {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset >= PAGE_SIZE || offset % SECTOR_SIZE !== 0) {
    throw invalid(
      `offset must be a multiple of ${String(SECTOR_SIZE)} from 0 to ${String(PAGE_SIZE - SECTOR_SIZE)}, not ${String(offset)}`,
    );
  }
  const pieces: Uint8Array[] = [];
  let held = 0;
  for (let at = list; at !== null && held < needed; at = at.next) {
    const name = `pageList[${String(pieces.length)}]`;
    if (typeof at !== 'object' || (at as PageList | undefined) === undefined)
      throw invalid(`${name} must be a PageList or null`);
    const page = bytesOf(at.page, `${name}.page`);
    if (page.byteLength !== PAGE_SIZE)
      throw invalid(`${name}.page has ${String(page.byteLength)} bytes: a page has ${String(PAGE_SIZE)}`);
    held += PAGE_SIZE - (pieces.length === 0 ? offset : 0);
    pieces.push(page);
  }
  checkEnough(held, needed, 'pageList');
  return { kind: 0, pieces, offsets: [offset], lengths: [] };
}

export function bvecMemory(bvec: readonly BioVec[], needed: number): Memory {
  if (!Array.isArray(bvec)) throw invalid('bvec must be an array of BioVec');
  const pieces: Uint8Array[] = [];
  const offsets: number[] = [];
  const lengths: number[] = [];
  let held = 0;
  for (const [index, vec] of (bvec as readonly BioVec[]).entries()) {
    if (held >= needed) break;
    const name = `bvec[${String(index)}]`;
    const page = bytesOf(vec.page, `${name}.page`);
    if (!Number.isSafeInteger(vec.offset) || vec.offset < 0)
      throw invalid(`${name}.offset must be a whole number of bytes, 0 or more`);
    if (!Number.isSafeInteger(vec.len) || vec.len < 0 || vec.len % SECTOR_SIZE !== 0) {
      throw invalid(`${name}.len must be a multiple of ${String(SECTOR_SIZE)} bytes, not ${String(vec.len)}`);
    }
    if (vec.offset + vec.len > page.byteLength) {
      throw invalid(
        `${name} ends at byte ${String(vec.offset + vec.len)} of a page of ${String(page.byteLength)} (was its buffer transferred?)`,
      );
    }
    if (vec.len === 0) continue;
    held += vec.len;
    pieces.push(page);
    offsets.push(vec.offset);
    lengths.push(vec.len);
  }
  checkEnough(held, needed, 'bvec');
  return { kind: 1, pieces, offsets, lengths };
}

export function vmMemory(data: ArrayBufferView, needed: number): Memory {
  const bytes = bytesOf(data, 'data');
  checkEnough(bytes.byteLength, needed, 'data');
  // What is beyond the regions is left out, so that its length may be anything.
  return {
    kind: 2,
    pieces: [needed < bytes.byteLength ? bytes.subarray(0, needed) : bytes],
    offsets: [],
    lengths: [],
  };
}
