/**
 * ToldTroubles: what is wrong with a set and has been told by an event. Who asks later, as a monitor that has just come, is shown that;
 * what has not been told yet is still to come as an event, and would be told twice.
 */
import type { LegSnapshot, SetSnapshot } from '../native/set-snapshot.js';
import type { MirrorEventKind, Standing } from './event.js';
import { errnoName } from './status.js';

const keyOf = ({ device, sector }: LegSnapshot): string => `${device}@${String(sector)}`;

export class ToldTroubles {
  readonly #set: string;
  /** Legs whose failure has been told, by their place: an index changes when legs come and go. */
  readonly #legs = new Set<string>();
  #log = false;

  /** `set`: its name. */
  constructor(set: string) {
    this.#set = set;
  }

  /** An event is being told, of a leg or of the set as a whole. */
  tell(kind: MirrorEventKind, leg: LegSnapshot | undefined): void {
    if (leg !== undefined && (kind === 'leg-failed' || kind === 'degraded-at-start'))
      this.#legs.add(keyOf(leg));
    if (kind === 'log-failed') this.#log = true;
  }

  /** What is wrong and has been told; a leg that is no longer out is forgotten: its next failure is another one. */
  standing({ legs, state, logFailed }: SetSnapshot): readonly Standing[] {
    const of = { set: this.#set, leg: null, device: null, errno: null, sector: null };
    const standing: Standing[] = [];
    for (const [leg, at] of legs.entries()) {
      const out = at.state === 'failed' || at.state === 'missing';
      if (!out) this.#legs.delete(keyOf(at));
      if (at.state === 'in-sync' || (out && !this.#legs.has(keyOf(at)))) continue;
      const errors = out && at.lastErrno !== 0;
      standing.push({
        ...of,
        kind: 'degraded-at-start',
        leg,
        device: at.device,
        errno: errors ? errnoName(at.lastErrno) : null,
        sector: errors ? at.lastErrorSector : null,
      });
    }
    if (state === 'failed') standing.push({ ...of, kind: 'set-failed' });
    if (logFailed && this.#log) standing.push({ ...of, kind: 'log-failed' });
    return standing;
  }
}
