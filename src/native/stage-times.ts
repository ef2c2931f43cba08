/** How long the stages of a request took (native/base/stage_times.h). */

/** Times in nanoseconds; percentiles are exact to an eighth. */
export interface StageTime {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export type StageName = 'range-locked' | 'dirty-marked' | 'submitted' | 'completed' | 'answered' | 'whole';

/** By kind of request; what has not occurred is not there. */
export type StageTimes = Readonly<
  Record<'read' | 'write' | 'flush', Readonly<Partial<Record<StageName, StageTime>>>>
>;
