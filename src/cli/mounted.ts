/** From a mountpoint or a file under one to the mount and its status. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DmiofsError } from '../errors.js';
import { askMount } from '../fuse/mount-lock.js';
import type { SyncMapText } from '../mirror/sync-map.js';
import { type MountStatus, parseStatus, type SetStatus, worstState } from '../mirror/status.js';
import type { LegTotals } from '../native/set-snapshot.js';
import { dmiofsFileBoundTo, dmiofsMountOn } from '../util/mountinfo.js';
import type { XattrReader } from './one-question.js';
import { within } from '../util/timeout.js';

export interface MountedPlace {
  readonly mountpoint: string;
  /** The set's name when a file was named. */
  readonly set: string | undefined;
}

/** Looks only at the table of mounts and the parent's path: a mount that hangs is not touched. */
export function findMounted(path: string): MountedPlace {
  const absolute = resolve(path);
  const real = (folder: string): string => {
    try {
      return realpathSync(folder);
    } catch {
      return folder;
    }
  };
  if (dmiofsMountOn(absolute) !== undefined) return { mountpoint: absolute, set: undefined };
  const parent = real(dirname(absolute));
  if (dmiofsMountOn(parent) !== undefined) return { mountpoint: parent, set: basename(absolute) };
  const inside = real(absolute);
  if (dmiofsMountOn(inside) !== undefined) return { mountpoint: inside, set: undefined };
  if (dmiofsMountOn(dirname(inside)) !== undefined)
    return { mountpoint: dirname(inside), set: basename(inside) };
  const bound = dmiofsFileBoundTo(absolute) ?? dmiofsFileBoundTo(inside);
  if (bound !== undefined) return { mountpoint: bound.mountpoint, set: bound.name };
  throw new DmiofsError(
    'ERR_DMIOFS_NOT_MOUNTED',
    `${path} is not a mountpoint of dmiofs, nor a file under one; dmiofs status lists the mounts`,
  );
}

/** The mount's status with its sets' in full; with only the one that was named. */
export async function statusOf(
  binding: XattrReader,
  place: MountedPlace,
  milliseconds = 5000,
): Promise<MountStatus> {
  const summary = await askMount(binding, place.mountpoint, milliseconds);
  if (summary === undefined) {
    throw new DmiofsError(
      'ERR_DMIOFS_NOT_MOUNTED',
      `the daemon of ${place.mountpoint} has died: dmiofs mount mounts it again, umount takes it away`,
    );
  }
  const named = summary.sets.filter(({ name }) => place.set === undefined || name === place.set);
  if (named.length === 0) {
    throw new DmiofsError(
      'ERR_DMIOFS_NOT_MOUNTED',
      `there is no set ${JSON.stringify(place.set)} on ${place.mountpoint}`,
    );
  }
  const ask = async (name: string): Promise<SetStatus> => {
    const path = join(place.mountpoint, name);
    const value = await within(milliseconds, `asking ${path}`, binding.getXattr(path, 'user.dmio.json'));
    return parseStatus<SetStatus>(value.toString('utf8'), 'legs');
  };
  const sets = await Promise.all(named.map(({ name }) => ask(name)));
  return { ...summary, state: worstState(sets.map(({ state }) => state)), sets };
}

/** The place of one set; a mountpoint is refused. */
export function findSet(file: string): MountedPlace & { readonly set: string } {
  const { mountpoint, set } = findMounted(file);
  if (set !== undefined) return { mountpoint, set };
  throw new DmiofsError(
    'ERR_DMIOFS_USAGE',
    `${file} is a mountpoint: name a set's file under it (ls ${file} shows them)`,
  );
}

/** The leg that a command line names. */
export function legOf({ name, legs }: SetStatus, text: string): SetStatus['legs'][number] {
  const found = /^(0|[1-9][0-9]?)$/.test(text) ? legs[Number(text)] : undefined;
  if (found !== undefined) return found;
  const last = legs.length - 1;
  const there = last === 0 ? 'only leg 0' : `legs 0 to ${String(last)}`;
  throw new DmiofsError('ERR_DMIOFS_USAGE', `there is no leg ${JSON.stringify(text)}: ${name} has ${there}`);
}

/** The states of a set's sync regions. */
export async function mapOf(
  binding: XattrReader,
  mountpoint: string,
  set: string,
  milliseconds = 5000,
): Promise<SyncMapText> {
  const path = join(mountpoint, set);
  const value = await within(milliseconds, `asking ${path}`, binding.getXattr(path, 'user.dmio.map'));
  return JSON.parse(value.toString('utf8')) as SyncMapText;
}

/** What a leg has done, as `user.dmio.metrics.N` tells it: buckets up to the last that is not empty. undefined: the leg is gone by now. */
export async function metricsOf(
  binding: XattrReader,
  mountpoint: string,
  set: string,
  leg: number,
  milliseconds = 5000,
): Promise<LegTotals | undefined> {
  const path = join(mountpoint, set);
  const asked = binding.getXattr(path, `user.dmio.metrics.${String(leg)}`);
  try {
    const value = await within(milliseconds, `asking ${path}`, asked);
    return JSON.parse(value.toString('utf8')) as LegTotals;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENODATA') return undefined;
    throw error;
  }
}
