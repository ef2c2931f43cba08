/** What a scrub finds where legs differ (native/mirror/comparison.h). */

/** What a leg holds of a range, as it was found. */
export interface LegContent {
  readonly leg: number;
  /** Hex, of the range's bytes. */
  readonly sha256: string;
  /** By majority, or as the primary does. */
  readonly right: boolean;
}

export interface DifferingRange {
  readonly sector: number;
  /** Sectors. */
  readonly count: number;
  /** More than half of three or more legs hold what is right; else the primary says what is. */
  readonly majority: boolean;
  readonly repaired: boolean;
  readonly legs: readonly LegContent[];
}

/** Of one sync region. */
export interface RegionComparison {
  readonly outcome: 'compared' | 'skipped' | 'failed';
  readonly rangeCount: number;
  readonly sectors: number;
  /** Ranges. */
  readonly repairedCount: number;
  /** The first 1,024. */
  readonly ranges: readonly DifferingRange[];
}
