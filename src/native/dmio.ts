/** The addon's dm-io calls (native/addon/dmio_binding.cc); src/dmio/ is what programs use. */

/** An open device of the dm-io API. */
export interface NativeDevice {
  readonly path: string;
  readonly sectors: number;
  /** Bytes. */
  readonly logicalBlockSize: number;
  readonly writable: boolean;
  /** Closes it when the last request on it has ended. */
  release(): void;
}

/** IoOp of native/engine/engine.h. */
export type NativeOp = 0 | 1 | 2 | 3 | 4;

/** 0 page list (offsets[0] is into the first page), 1 bvec, 2 vm buffer, 3 no memory. */
export type NativeMemoryKind = 0 | 1 | 2 | 3;

export type NativeRequest = readonly [
  op: NativeOp,
  devices: readonly NativeDevice[],
  sectors: readonly number[],
  counts: readonly number[],
  kind: NativeMemoryKind,
  pieces: readonly Uint8Array[],
  offsets: readonly number[],
  lengths: readonly number[],
];

/** 0 = no bit is on; positive errnos by I/O region. */
export type NativeOutcome = readonly [errorBits: 0 | bigint, errnos: readonly number[] | null];
