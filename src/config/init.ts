/**
 * init: creates missing image files and the logs of new sets. Never overwrites an image or a log; what a run made is taken back when
 * it fails half way.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { DmiofsError, messageOf } from '../errors.js';
import type { CreateLogOptions, LogCreation } from '../native/binding.js';
import type { ResolvedConfig, ResolvedSet } from './resolve.js';

export interface InitOptions {
  readonly assumeClean: boolean;
  /** Writes a new log; rejects with EEXIST when there is one. */
  readonly createLog: (options: CreateLogOptions) => Promise<LogCreation>;
}

export interface InitReport {
  readonly set: string;
  readonly createdImages: readonly string[];
  readonly log: LogCreation | 'kept';
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

/** Sparse, of `bytes`; EEXIST when there is something. */
function createImage(path: string, bytes: number): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  fsyncFolder(path);
}

async function initSet(set: ResolvedSet, options: InitOptions, undo: string[]): Promise<InitReport> {
  const created: string[] = [];
  for (const leg of set.legs) {
    if (leg.probe !== undefined) continue;
    createImage(leg.device, (leg.sector + set.count) * 512);
    undo.push(leg.device);
    created.push(leg.device);
  }
  const inSync = options.assumeClean || created.length === set.legs.length || set.legs.length === 1;
  try {
    mkdirSync(dirname(set.logPath), { recursive: true, mode: 0o700 });
    // What was there before, a block device or a blank file, is not ours to remove.
    const isNew = !existsSync(set.logPath);
    const log = await options.createLog({
      path: set.logPath,
      count: set.count,
      syncRegionSectors: set.syncRegionSectors,
      legs: set.legs.map(({ device, sector }) => ({ device, sector })),
      inSync,
    });
    if (log === 'created' && isNew) undo.push(set.logPath);
    return { set: set.name, createdImages: created, log, inSync };
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    // A set that is there already is left as it is; a log without its images is not a new set.
    if (exists && created.length === 0)
      return { set: set.name, createdImages: created, log: 'kept', inSync: false };
    throw error;
  }
}

export async function initSets(config: ResolvedConfig, options: InitOptions): Promise<readonly InitReport[]> {
  const undo: string[] = [];
  const reports: InitReport[] = [];
  try {
    mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
    for (const set of config.sets) reports.push(await initSet(set, options, undo));
    return reports;
  } catch (error) {
    for (const path of undo.reverse()) unlinkSync(path);
    throw new DmiofsError('ERR_DMIOFS_INIT', `nothing was created: ${messageOf(error)}`, { cause: error });
  }
}
