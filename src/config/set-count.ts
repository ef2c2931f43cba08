/** How many sectors a set has: what `size` says, or the counts of its I/O regions, or what its smallest device has. */
import type { DeviceProbe } from '../native/device.js';
import type { SetConfig } from './load.js';
import type { KeyPath } from './positions.js';

export interface CountChecks {
  /** Missing image files are about to be made. */
  readonly creating: boolean;
  readonly refuse: (path: KeyPath, message: string) => void;
  /** Whether something of the set has been refused already. */
  readonly refused: () => boolean;
}

/** Sectors up to the device's end; undefined: it could not be looked at, or has none there, which is refused. */
function countToEnd(
  path: KeyPath,
  sector: number,
  probe: DeviceProbe | undefined,
  { refuse }: CountChecks,
): number | undefined {
  if (probe === undefined) return undefined;
  const sectors = Math.floor(probe.sizeBytes / 512);
  if (sectors > sector) return sectors - sector;
  refuse([...path, 'sector'], `starts at or beyond the device's end: it has ${String(sectors)} sectors`);
  return undefined;
}

/** Sectors in the set, `probes` being by leg; undefined: it was refused. */
export function countOfSet(
  set: SetConfig,
  probes: readonly (DeviceProbe | undefined)[],
  checks: CountChecks,
): number | undefined {
  const { creating, refuse, refused } = checks;
  const at = ['sets', set.name] as const;
  const counts = set.regions.map(
    ({ count, sector }, index) =>
      count ?? countToEnd([...at, 'regions', index], sector, probes[index], checks),
  );
  const explicit = set.regions.flatMap(({ count }, index) => (count === undefined ? [] : [{ count, index }]));
  const [first] = explicit;
  const others = explicit.filter(({ count }) => count !== first?.count);
  for (const other of first === undefined ? [] : others) {
    refuse(
      [...at, 'regions', other.index, 'count'],
      `is ${String(other.count)} sectors, but regions[${String(first?.index)}] has ${String(first?.count)}: all I/O regions of a set have the same count`,
    );
  }
  if (others.length > 0) return undefined;
  const sized = set.size === undefined ? undefined : set.size / 512;
  if (sized !== undefined && first !== undefined && first.count !== sized) {
    refuse(
      [...at, 'regions', first.index, 'count'],
      `is ${String(first.count)} sectors, but size says ${String(sized)}: leave one of them out`,
    );
    return undefined;
  }
  const known = counts.filter((count) => count !== undefined);
  const count = sized ?? first?.count ?? (known.length > 0 ? Math.min(...known) : undefined);
  if (count === undefined) {
    // Why no leg tells the count has been said.
    if (refused()) return undefined;
    if (creating) refuse(at, 'has no image file yet and no size: add the key "size", such as size: 1GiB');
    else
      refuse(
        at,
        'none of its devices is there, and neither size nor count tells how large it is; with a size dmiofs init creates missing image files',
      );
    return undefined;
  }
  if (creating && sized === undefined && probes.some((probe) => probe === undefined)) {
    refuse(at, 'has a missing image file and no size: add the key "size", so that it can be created');
  }
  return count;
}
