/**
 * Histories of reads and writes of a few cells by many processes, and whether they are linearizable: whether all operations can be put in one
 * order that explains every read. The idea, and the test of Gibbons and Korach for one register whose writes all have values of their own, are
 * those of `native/test/history.h`; here an operation covers several cells, and the writers may have met the end of the daemon.
 */

/** Of one process, in its order. Times are nanoseconds of CLOCK_MONOTONIC. */
export interface Operation {
  readonly write: boolean;
  readonly began: number;
  /** Of a write that failed: the last moment at which it may have taken effect. It may also never have. */
  readonly ended: number;
  readonly failed: boolean;
  readonly first: number;
  /** What was read or written, by cell from `first`; 0 is what was there before all writes. */
  readonly values: readonly number[];
}

interface Zone {
  readonly value: number;
  firstEnd: number;
  lastStart: number;
  firstReadEnd: number;
  wroteFrom: number | undefined;
  failed: boolean;
  read: boolean;
}

const low = (zone: Zone): number => Math.min(zone.firstEnd, zone.lastStart);
const high = (zone: Zone): number => Math.max(zone.firstEnd, zone.lastStart);

/** What was done to one cell, by value. */
function zonesOf(operations: readonly Operation[], cell: number): Map<number, Zone> {
  const zones = new Map<number, Zone>();
  const zoneOf = (value: number): Zone => {
    const zone = zones.get(value) ?? {
      value,
      firstEnd: Infinity,
      lastStart: -Infinity,
      firstReadEnd: Infinity,
      wroteFrom: undefined,
      failed: false,
      read: false,
    };
    zones.set(value, zone);
    return zone;
  };
  Object.assign(zoneOf(0), { firstEnd: -Infinity, lastStart: -Infinity, wroteFrom: -Infinity });
  for (const { write, began, ended, failed, first, values } of operations) {
    const value = values[cell - first];
    if (value === undefined) continue;
    const zone = zoneOf(value);
    zone.firstEnd = Math.min(zone.firstEnd, ended);
    zone.lastStart = Math.max(zone.lastStart, began);
    if (write) {
      zone.wroteFrom = began;
      zone.failed = failed;
    } else {
      zone.read = true;
      zone.firstReadEnd = Math.min(zone.firstReadEnd, ended);
    }
  }
  return zones;
}

function cellProblem(operations: readonly Operation[], cell: number): string | undefined {
  const forward: Zone[] = [];
  const backward: Zone[] = [];
  for (const zone of zonesOf(operations, cell).values()) {
    const { value, wroteFrom, firstReadEnd } = zone;
    if (wroteFrom === undefined) return `${String(value)} was read and never written`;
    if (zone.failed && !zone.read) continue;
    if (firstReadEnd < wroteFrom) return `${String(value)} was read before it was written`;
    (zone.firstEnd < zone.lastStart ? forward : backward).push(zone);
  }
  forward.sort((a, b) => low(a) - low(b));
  for (const [index, zone] of forward.entries()) {
    const before = forward[index - 1];
    if (before !== undefined && high(before) > low(zone))
      return `${String(before.value)} and ${String(zone.value)} were both there at once`;
  }
  for (const zone of backward) {
    const around = forward.find((other) => low(other) < low(zone) && high(zone) < high(other));
    if (around !== undefined)
      return `${String(zone.value)} was there while ${String(around.value)} was all the time`;
  }
  return undefined;
}

/** One read that shows parts of two writes where each of them covers both parts: one of the two was not written, or read, as one. */
function tornRead(operations: readonly Operation[]): string | undefined {
  const writes = new Map<number, Operation>();
  for (const operation of operations) {
    const [value] = operation.values;
    if (operation.write && value !== undefined) writes.set(value, operation);
  }
  const covers = (value: number, cell: number): boolean => {
    const write = writes.get(value);
    return (
      value === 0 || (write !== undefined && cell >= write.first && cell < write.first + write.values.length)
    );
  };
  for (const { write, first, values } of operations) {
    if (write) continue;
    const places = new Map<number, number>();
    for (const [index, value] of values.entries()) if (!places.has(value)) places.set(value, first + index);
    const seen = [...places];
    for (const [one, place] of seen) {
      const other = seen.find(([two, there]) => two !== one && covers(one, there) && covers(two, place));
      if (other !== undefined)
        return `a read saw a part of ${String(one)} in cell ${String(place)} and of ${String(other[0])} in cell ${String(other[1])}`;
    }
  }
  return undefined;
}

/** Undefined: linearizable, cell by cell, and each operation was done as one. */
export function whyNotLinearizable(operations: readonly Operation[], cells: number): string | undefined {
  const torn = tornRead(operations);
  if (torn !== undefined) return torn;
  for (let cell = 0; cell < cells; cell++) {
    const problem = cellProblem(operations, cell);
    if (problem !== undefined) return `cell ${String(cell)}: ${problem}`;
  }
  return undefined;
}
