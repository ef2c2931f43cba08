/** Opens the sets of a mount. */
import type { Logger } from 'pino';
import type { ConfigLegs } from '../config/config-legs.js';
import type { ResolvedConfig } from '../config/resolve.js';
import type { EventJournal } from '../fuse/event-journal.js';
import { isAlarming } from '../mirror/event.js';
import { MirrorSet } from '../mirror/mirror-set.js';
import type { NativeBinding } from '../native/binding.js';

export interface OpenSetsOptions {
  /** All of them. */
  readonly readOnly: boolean;
  readonly keeper: ConfigLegs;
  readonly events: EventJournal;
  readonly log: Logger;
}

/** By the config's order. Throws when one cannot be opened; those that were are stopped then. */
export function openSets(
  binding: NativeBinding,
  config: ResolvedConfig,
  { readOnly, keeper, events, log }: OpenSetsOptions,
): MirrorSet[] {
  const opened = new Map<string, MirrorSet>();
  // Sets may share a device: who writes to it must be the first to lock it.
  const writersFirst = [...config.sets].sort((a, b) => Number(a.readOnly) - Number(b.readOnly));
  try {
    for (const set of writersFirst) {
      opened.set(
        set.name,
        MirrorSet.open(
          binding,
          {
            name: set.name,
            count: set.count,
            legs: [
              ...set.legs.map(({ device, sector }) => ({ device, sector })),
              ...set.replacements.map(({ device, sector, replaces }) => ({ device, sector, replaces })),
            ],
            readPolicy: set.readPolicy,
            ioTimeoutMs: set.ioTimeoutMs,
            readErrorLimit: set.readErrorLimit,
            readOnly: set.readOnly || readOnly,
            syncRegionSectors: set.syncRegionSectors,
            log: { path: set.logPath, start: set.start },
          },
          {
            keeper,
            onProblem: (name, message) => {
              log.error({ set: name }, message);
            },
            onEvent: (event) => {
              events.append(event);
              const { kind, ...rest } = event;
              log[isAlarming(kind) ? 'error' : 'info'](rest, kind);
            },
          },
        ),
      );
    }
    return config.sets.flatMap(({ name }) => opened.get(name) ?? []);
  } catch (error) {
    for (const set of opened.values()) void set.stop();
    throw error;
  }
}
