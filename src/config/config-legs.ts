/**
 * ConfigLegs: the config file as the keeper of a running set's legs. A change is checked as a mount would check the whole file, and
 * written beside it, before anything else happens; it then takes the file's name in one step.
 */
import { chmodSync, chownSync, closeSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DmiofsError, messageOf } from '../errors.js';
import type { LegChange, LegsKeeper, PreparedChange, RunningLegs } from '../mirror/legs-keeper.js';
import type { DeviceProbe } from '../native/device.js';
import { SystemDevices } from './block-devices.js';
import { writeSynced } from '../util/write-synced.js';
import { editLegs } from './edit-legs.js';
import { type SetConfig, loadConfigText } from './load.js';
import { isUnder, realPath } from './places.js';
import { resolveConfig } from './resolve.js';
import { readText } from './yaml.js';

export interface ConfigLegsOptions {
  /** The config file. */
  readonly file: string;
  readonly mountpoint: string;
  readonly probeDevice: (path: string) => DeviceProbe;
  /** What a device was when it was mounted: one that hangs by now is not looked at again. */
  readonly knownProbe?: (path: string) => DeviceProbe | undefined;
}

const samePlace = (
  a: { readonly device: string; readonly sector: number } | undefined,
  b: { readonly device: string; readonly sector: number } | undefined,
): boolean => a?.device === b?.device && a?.sector === b?.sector;

export class ConfigLegs implements LegsKeeper {
  readonly #options: ConfigLegsOptions;

  constructor(options: ConfigLegsOptions) {
    this.#options = options;
  }

  prepare(set: string, running: RunningLegs, change: LegChange): PreparedChange {
    const file = realPath(this.#options.file);
    const text = readText(file);
    this.#checkDefined(file, text, set, running);
    const full: LegChange =
      'device' in change ? { ...change, device: resolve(dirname(file), change.device) } : change;
    if ('device' in full) this.#checkDevice(full.device);
    const changed = this.#changedText(file, text, set, running.count, full);
    const written = this.#writeBeside(file, changed);
    return {
      device: 'device' in full ? full.device : undefined,
      abandon: () => {
        rmSync(written, { force: true });
      },
      commit: () => {
        takeName(file, written, text);
        return () => {
          takeName(file, this.#writeBeside(file, text), changed);
        };
      },
    };
  }

  /** What is defined is what runs: an edit that no mount has seen yet is not written over. */
  #checkDefined(file: string, text: string, set: string, running: RunningLegs): void {
    const config = loadConfigText(file, text);
    const defined = config.sets.find(({ name }) => name === set);
    const same =
      defined?.regions.length === running.legs.length &&
      running.legs.every((leg, index) => {
        const region = defined.regions[index];
        return samePlace(region, leg) && samePlace(region?.replacement, leg.replacement);
      });
    if (!same) {
      throw new DmiofsError(
        'ERR_DMIOFS_CONFIG',
        `${file}: sets.${set} names other I/O regions than those that are mounted: it was edited since; put them back, or mount it again`,
      );
    }
  }

  #checkDevice(device: string): void {
    const { mountpoint, probeDevice } = this.#options;
    const refuse = (why: string): DmiofsError => new DmiofsError('ERR_DMIOFS_CONFIG', `${device} ${why}`);
    // Before it is looked at: the mount would wait for itself.
    if (isUnder(device, mountpoint)) throw refuse(`lies under the mountpoint ${mountpoint} itself`);
    let probe: DeviceProbe;
    try {
      probe = probeDevice(device);
    } catch (error) {
      throw new DmiofsError('ERR_DMIOFS_CONFIG', messageOf(error), { cause: error });
    }
    const use = new SystemDevices().useOf(probe);
    if (use !== undefined) throw refuse(`is in use: ${use}`);
  }

  #changedText(file: string, text: string, set: string, count: number, change: LegChange): string {
    const look = (edited: string): number => {
      const config = loadConfigText(file, edited);
      const { mountpoint, probeDevice, knownProbe } = this.#options;
      const comes = 'device' in change ? change.device : undefined;
      const resolved = resolveConfig(config, {
        probeDevice: (path) => (path === comes ? undefined : knownProbe?.(path)) ?? probeDevice(path),
        only: [set],
        mountpoint,
        checkUse: false,
      });
      return resolved.sets[0]?.count ?? 0;
    };
    try {
      const changed = editLegs(file, text, set, change, undefined);
      // The size never changes, whichever leg was the smallest.
      if (definesSize(loadConfigText(file, changed).sets, set) || look(changed) === count) {
        look(changed);
        return changed;
      }
      const sized = editLegs(file, text, set, change, count * 512);
      look(sized);
      return sized;
    } catch (error) {
      throw new DmiofsError('ERR_DMIOFS_CONFIG', `the config cannot be changed so: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #writeBeside(file: string, text: string): string {
    const path = join(dirname(file), `.${basename(file)}.${String(process.pid)}.new`);
    try {
      const { mode, uid, gid } = statSync(file);
      rmSync(path, { force: true });
      writeSynced(path, text, 0o600);
      if (uid !== process.geteuid?.() || gid !== process.getegid?.()) chownSync(path, uid, gid);
      chmodSync(path, mode & 0o7777);
      return path;
    } catch (error) {
      rmSync(path, { force: true });
      throw new DmiofsError(
        'ERR_DMIOFS_CONFIG',
        `${file} cannot be written, so its legs cannot be changed: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

const definesSize = (sets: readonly SetConfig[], name: string): boolean => {
  const set = sets.find((one) => one.name === name);
  return set?.size !== undefined || set?.regions.some(({ count }) => count !== undefined) === true;
};

/** `written` becomes `file`, which must still hold `expected`: someone else's edit is not lost. */
function takeName(file: string, written: string, expected: string): void {
  try {
    if (readText(file) !== expected) {
      throw new DmiofsError('ERR_DMIOFS_CONFIG', `${file} was edited meanwhile: nothing was changed in it`);
    }
    renameSync(written, file);
  } catch (error) {
    rmSync(written, { force: true });
    throw error;
  }
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
