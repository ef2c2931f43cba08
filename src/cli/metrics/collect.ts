/** What the metrics are made of: the status of each mount and what its legs have done. A mount that does not answer is told as being down. */
import { messageOf } from '../../errors.js';
import type { MountStatus } from '../../mirror/status.js';
import type { LegTotals } from '../../native/set-snapshot.js';
import { type MountedPlace, metricsOf, statusOf } from '../mounted.js';
import type { XattrReader } from '../one-question.js';

/** Of one mount; a scraper waits ten seconds by default. */
const ANSWER_MS = 3000;

export type Measured =
  | {
      readonly up: true;
      readonly status: MountStatus;
      /** By set and leg. */
      readonly legs: readonly (readonly (LegTotals | undefined)[])[];
    }
  | { readonly up: false; readonly mountpoint: string; readonly problem: string };

async function measure(reader: XattrReader, place: MountedPlace): Promise<Measured> {
  try {
    const status = await statusOf(reader, place, ANSWER_MS);
    const legs = await Promise.all(
      status.sets.map((set) =>
        Promise.all(set.legs.map(({ leg }) => metricsOf(reader, place.mountpoint, set.name, leg, ANSWER_MS))),
      ),
    );
    return { up: true, status, legs };
  } catch (error) {
    return { up: false, mountpoint: place.mountpoint, problem: messageOf(error) };
  }
}

export function collect(reader: XattrReader, places: readonly MountedPlace[]): Promise<readonly Measured[]> {
  return Promise.all(places.map((place) => measure(reader, place)));
}
