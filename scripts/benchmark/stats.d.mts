export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}
type Samples = readonly (number | null | undefined)[];
export function median(values: Samples): number | undefined;
export function spread(values: Samples): Spread | undefined;
export function pairedRatio(values: Samples, base: Samples): number | undefined;
