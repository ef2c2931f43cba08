/** The process's I/O: engine and dm-io core, one of each in a process; and the faults that a rehearsal puts in (native/engine/). */

export type EngineKind = 'auto' | 'uring' | 'threads' | 'null';

export interface IoOptions {
  readonly engine: EngineKind;
  /** Wraps the engine in the fault engine, so that faultAdd works. */
  readonly faults?: boolean;
  /** The largest data of one mirror set transfer in bytes; default 131072. */
  readonly maxRunBytes?: number;
}

export interface IoInfo {
  /** `uring`, `threads`, `null`, `fault(uring)` ... */
  readonly engine: string;
  /** Why this one. */
  readonly reason: string;
}

export type FaultAction = 'error' | 'error-after' | 'delay' | 'hang' | 'torn' | 'drop' | 'corrupt';

/** native/engine/fault.h; every field but `action` has the default said there. */
export interface FaultRule {
  readonly action: FaultAction;
  readonly device?: string;
  readonly ops?: readonly ('read' | 'write' | 'flush' | 'discard' | 'write-zeroes')[];
  readonly firstByte?: number;
  readonly lastByte?: number;
  readonly skip?: number;
  readonly times?: number;
  readonly chancePerMillion?: number;
  readonly seed?: number;
  /** Positive errno. */
  readonly error?: number;
  /** The delay is the sum of the two. */
  readonly delayMs?: number;
  readonly delayUs?: number;
  readonly tornBytes?: number;
}
