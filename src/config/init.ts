/**
 * init: creates missing image files and the logs of new sets. Never overwrites an image or a log; what a run made is taken back when
 * it fails half way.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DmiofsError, messageOf } from '../errors.js';
import type { CreateLogOptions, LogCreation } from '../native/log.js';
import { formatSize } from '../util/size.js';
import { realPath } from './places.js';
import type { ResolvedConfig, ResolvedSet } from './resolve.js';

export interface InitOptions {
  readonly assumeClean: boolean;
  /** Writes a new log; rejects with EEXIST when there is one. */
  readonly createLog: (options: CreateLogOptions) => Promise<LogCreation>;
}

export interface InitReport {
  readonly set: string;
  readonly createdImages: readonly string[];
  /** in-use: somebody has it open, as a mount of the set has. */
  readonly log: LogCreation | 'kept' | 'in-use';
  readonly inSync: boolean;
}

function fsyncFolder(path: string): void {
  const fd = openSync(dirname(path), 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What this run made, newest last, to be taken back when it fails half way. */
class Made {
  readonly #undo: (() => void)[] = [];

  file(path: string): void {
    this.#undo.push(() => {
      unlinkSync(path);
    });
  }

  /** Makes a folder and those above it that are missing, for its owner only. */
  folder(path: string): void {
    const first = mkdirSync(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    fsyncFolder(first);
    for (const made of foldersBetween(first, path)) {
      this.#undo.push(() => {
        rmdirSync(made);
      });
    }
  }

  takeBack(): void {
    for (const undo of this.#undo.reverse()) {
      try {
        undo();
      } catch {
        // Gone already, or, for a folder, in use by others by now.
      }
    }
  }
}

/** From the outermost. */
function foldersBetween(first: string, last: string): readonly string[] {
  const found = [last];
  for (let at = last; at !== first && at !== dirname(at); at = dirname(at)) found.unshift(dirname(at));
  return found;
}

/** Sparse, of `bytes`; an error that names it, also when there is something. */
function createImage(path: string, bytes: number, made: Made): void {
  try {
    createSparse(path, bytes, made);
  } catch (error) {
    throw new Error(`the image ${path} of ${formatSize(bytes)}: ${messageOf(error)}`, { cause: error });
  }
}

function createSparse(path: string, bytes: number, made: Made): void {
  const fd = openSync(path, 'wx', 0o600);
  made.file(path);
  try {
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  fsyncFolder(path);
}

interface NewImage {
  readonly path: string;
  readonly set: string;
  /** Bytes, to the end of the last I/O region in it. */
  bytes: number;
}

/** The image files to be made: one may hold I/O regions of several sets. */
function newImages(sets: readonly ResolvedSet[]): readonly NewImage[] {
  const images = new Map<string, NewImage>();
  for (const set of sets) {
    for (const leg of set.legs) {
      if (leg.probe !== undefined) continue;
      const end = (leg.sector + set.count) * 512;
      const path = realPath(leg.device);
      const image = images.get(path);
      if (image === undefined) images.set(path, { path: leg.device, set: set.name, bytes: end });
      else image.bytes = Math.max(image.bytes, end);
    }
  }
  return [...images.values()];
}

async function initLog(
  set: ResolvedSet,
  options: InitOptions,
  made: Made,
): Promise<Omit<InitReport, 'createdImages'>> {
  const missing = set.legs.filter(({ probe }) => probe === undefined).length;
  const inSync = options.assumeClean || missing === set.legs.length || set.legs.length === 1;
  made.folder(dirname(set.logPath));
  // What was there before, a block device or a blank file, is not ours to remove.
  const isNew = !existsSync(set.logPath);
  try {
    const log = await options.createLog({
      path: set.logPath,
      count: set.count,
      syncRegionSectors: set.syncRegionSectors,
      legs: set.legs.map(({ device, sector }) => ({ device, sector })),
      inSync,
    });
    if (log === 'created' && isNew) made.file(set.logPath);
    return { set: set.name, log, inSync };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // A set that is there already is left as it is; a log without its images is not a new set.
    if (code === 'EEXIST' && missing === 0) return { set: set.name, log: 'kept', inSync: false };
    if (code === 'EBUSY' && missing === 0) return { set: set.name, log: 'in-use', inSync: false };
    throw error;
  }
}

/** A new image is empty: that it equals an existing leg cannot be assumed. */
function checkAssumption({ name, legs }: ResolvedSet): void {
  const created = legs.find(({ probe }) => probe === undefined);
  if (created === undefined || legs.every(({ probe }) => probe === undefined)) return;
  throw new DmiofsError(
    'ERR_DMIOFS_INIT',
    `${name}: --assume-clean says that all legs are equal, but ${created.device} does not exist and would be new and empty: leave --assume-clean out, so that it is copied`,
  );
}

export async function initSets(config: ResolvedConfig, options: InitOptions): Promise<readonly InitReport[]> {
  if (options.assumeClean) config.sets.forEach(checkAssumption);
  const made = new Made();
  const reports: InitReport[] = [];
  try {
    const images = newImages(config.sets);
    for (const { path, bytes } of images) createImage(path, bytes, made);
    made.folder(config.stateDir);
    for (const set of config.sets) {
      const createdImages = images.filter((image) => image.set === set.name).map(({ path }) => path);
      reports.push({ ...(await initLog(set, options, made)), createdImages });
    }
    return reports;
  } catch (error) {
    made.takeBack();
    throw new DmiofsError('ERR_DMIOFS_INIT', `nothing was created: ${messageOf(error)}`, { cause: error });
  }
}
