/**
 * LegsKeeper: where the legs of sets are defined (the config), the changes that are written there, and how legs are numbered there: without
 * the replacements, which a running set has among its legs.
 */
import type { LegSnapshot } from '../native/set-snapshot.js';

export interface LegPlace {
  readonly device: string;
  readonly sector: number;
}

/** `leg`: index among the legs that are no replacements, as in the config. */
export type LegChange =
  | ({ readonly kind: 'add' } & LegPlace)
  | { readonly kind: 'remove'; readonly leg: number }
  /** Another device in a leg's place at once. */
  | ({ readonly kind: 'place'; readonly leg: number } & LegPlace)
  /** A replacement comes beside a leg. */
  | ({ readonly kind: 'replace'; readonly leg: number } & LegPlace)
  /** A leg's replacement takes its place. */
  | { readonly kind: 'promote'; readonly leg: number }
  /** A leg's replacement goes. */
  | { readonly kind: 'give-up'; readonly leg: number };

/** What runs: to be compared with what is defined. */
export interface RunningLegs {
  /** Sectors. */
  readonly count: number;
  readonly legs: readonly (LegPlace & { readonly replacement: LegPlace | undefined })[];
}

/** A change that has been checked and can be written. */
export interface PreparedChange {
  /** Absolute, of the device that comes. */
  readonly device: string | undefined;
  /** Makes it last; the function takes it back. */
  readonly commit: () => () => void;
  readonly abandon: () => void;
}

/** Where the legs of sets are defined. */
export interface LegsKeeper {
  /** Throws a DmiofsError, and changes nothing, when the change is wrong or cannot be written. */
  prepare(set: string, running: RunningLegs, change: LegChange): PreparedChange;
}

const placeOf = ({ device, sector }: LegSnapshot): LegPlace => ({ device, sector });

/** What runs, `count` sectors of it, as it is to be defined. */
export function runningLegs(count: number, legs: readonly LegSnapshot[]): RunningLegs {
  return {
    count,
    legs: legs.flatMap((leg, index) => {
      if (leg.replaces >= 0) return [];
      const replacement = legs.find(({ replaces }) => replaces === index);
      return [{ ...placeOf(leg), replacement: replacement === undefined ? undefined : placeOf(replacement) }];
    }),
  };
}

/** The index in the config of a leg that is no replacement. */
export const definedIndex = (legs: readonly LegSnapshot[], leg: number): number =>
  legs.slice(0, leg).filter(({ replaces }) => replaces < 0).length;

/** The other way round. */
export const runningIndex = (legs: readonly LegSnapshot[], defined: number): number =>
  legs.findIndex(({ replaces }, leg) => replaces < 0 && definedIndex(legs, leg) === defined);
