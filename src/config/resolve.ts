/** The second stage of a config: what its devices make of it. Gives the sets as they would be, or every refusal at its place in the file. */
import { existsSync } from 'node:fs';
import type { DeviceProbe } from '../native/device.js';
import { isNativeError } from '../native/error.js';
import { extentOf, fileKey, SystemDevices } from './block-devices.js';
import { Claims, NO_END } from './claims.js';
import { ConfigError, type ConfigIssue } from './config-error.js';
import type { Config, SetConfig } from './load.js';
import { isUnder, whyNoFile, whyNoFolder, whyNoImage, whyNotPrivate } from './places.js';
import type { KeyPath } from './positions.js';
import { countOfSet } from './set-count.js';

export interface ResolvedLeg {
  readonly device: string;
  readonly sector: number;
  /** undefined: it could not be looked at; it is missing. */
  readonly probe: DeviceProbe | undefined;
}

export interface ResolvedSet extends SetConfig {
  /** Sectors. */
  readonly count: number;
  readonly legs: readonly ResolvedLeg[];
  /** Devices that are to take a leg's place. */
  readonly replacements: readonly (ResolvedLeg & { readonly replaces: number })[];
}

export interface ResolvedConfig extends Omit<Config, 'sets' | 'issue'> {
  readonly sets: readonly ResolvedSet[];
}

export interface ResolveOptions {
  readonly probeDevice: (path: string) => DeviceProbe;
  /** Only these sets; all when undefined. */
  readonly only?: readonly string[] | undefined;
  readonly mountpoint?: string | undefined;
  /** A missing image file is about to be made: it needs a size and a place, and must not become the source of a copy. */
  readonly creating?: boolean;
  /** Looks whether devices are free and logs can be written; off for what only reads the config. */
  readonly checkUse?: boolean;
}

const READ_ONLY = 'cannot be written: it is read-only';

const MISSING = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'ENOTDIR', 'EIO', 'ENOMEDIUM']);

class Resolver {
  readonly #config: Config;
  readonly #options: ResolveOptions;
  readonly #issues: ConfigIssue[] = [];
  readonly #claims = new Claims();
  readonly #system: SystemDevices | undefined;
  readonly #configKey: string | undefined;
  /** Whether the set at hand is one of `only`; of the others nothing but an overlap with these is told. */
  #wanted = true;

  constructor(config: Config, options: ResolveOptions) {
    this.#config = config;
    this.#options = options;
    this.#configKey = fileKey(config.file);
    this.#system = options.checkUse === false ? undefined : new SystemDevices();
  }

  run(): ResolvedConfig {
    const { only } = this.#options;
    for (const name of only ?? []) {
      if (!this.#config.sets.some((set) => set.name === name))
        this.#refuse(
          ['sets'],
          `there is no set ${JSON.stringify(name)} in this config; it has ${this.#config.sets.map((set) => set.name).join(', ')}`,
        );
    }
    this.#checkStateDir();
    const sets = this.#config.sets.flatMap((set) => {
      this.#wanted = only === undefined || only.includes(set.name);
      const resolved = this.#resolveSet(set);
      return this.#wanted ? [resolved] : [];
    });
    this.#wanted = true;
    this.#claims.checkOverlaps(this.#refuse);
    if (this.#issues.length > 0) throw new ConfigError(this.#config.file, this.#issues);
    const { file, stateDir, engine, logLevel } = this.#config;
    return { file, stateDir, engine, logLevel, sets };
  }

  readonly #refuse = (path: KeyPath, message: string): void => {
    if (this.#wanted) this.#issues.push(this.#config.issue(path, message));
  };

  #probe(device: string, path: KeyPath): DeviceProbe | undefined {
    try {
      return this.#options.probeDevice(device);
    } catch (error) {
      if (!isNativeError(error)) throw error;
      // What is there, but cannot be opened, is no image that init could make.
      const missing = this.#options.creating === true ? error.code === 'ENOENT' : MISSING.has(error.code);
      if (!missing) this.#refuse(path, error.message);
      return undefined;
    }
  }

  #resolveSet(set: SetConfig): ResolvedSet {
    const at = ['sets', set.name] as const;
    const before = this.#issues.length;
    const legs = set.regions.map((region, index) => this.#leg(set, region, [...at, 'regions', index]));
    if (this.#options.creating === true) this.#checkNew(set, legs);
    const count = countOfSet(
      set,
      legs.map(({ probe }) => probe),
      {
        creating: this.#options.creating === true,
        refuse: this.#refuse,
        refused: () => this.#issues.length > before,
      },
    );
    const replacements = set.regions.flatMap(({ replacement }, replaces) => {
      if (replacement === undefined) return [];
      const path = [...at, 'regions', replaces, 'replacement'];
      if (this.#options.creating === true)
        this.#refuse(path, 'must not be there: a new set has nothing to replace');
      return [{ ...this.#leg(set, replacement, path), replaces }];
    });
    if (count !== undefined) {
      for (const [index, leg] of legs.entries()) this.#checkRegion([...at, 'regions', index], leg, count);
      for (const leg of replacements)
        this.#checkRegion([...at, 'regions', leg.replaces, 'replacement'], leg, count);
    }
    this.#checkLog(set);
    return { ...set, count: count ?? 0, legs, replacements };
  }

  #leg(set: SetConfig, { device, sector }: Omit<ResolvedLeg, 'probe'>, at: KeyPath): ResolvedLeg {
    const path = [...at, 'device'];
    const probe = this.#probe(device, path);
    this.#checkDevice(device, probe, path);
    if (probe?.readOnly === true && !set.readOnly) this.#refuse(path, READ_ONLY);
    return { device, sector, probe };
  }

  #checkDevice(device: string, probe: DeviceProbe | undefined, path: KeyPath): void {
    const { mountpoint } = this.#options;
    if (mountpoint !== undefined && isUnder(device, mountpoint)) {
      this.#refuse(path, `lies under the mountpoint ${mountpoint} itself: the mount would wait for itself`);
    }
    if (probe?.kind === 'file' && extentOf(probe, 0, 0).key === this.#configKey)
      this.#refuse(path, 'is this config itself: give a block device or an image file');
    const use = probe === undefined || !this.#wanted ? undefined : this.#system?.useOf(probe);
    if (use !== undefined) this.#refuse(path, `is in use: ${use}`);
  }

  #checkRegion(path: KeyPath, leg: ResolvedLeg, count: number): void {
    const { probe } = leg;
    this.#claims.add({
      path: [...path, 'device'],
      what: `${leg.device} from sector ${String(leg.sector)}`,
      device: leg.device,
      probe,
      start: leg.sector * 512,
      length: count * 512,
      wanted: this.#wanted,
    });
    if (probe === undefined) return;
    const sectors = Math.floor(probe.sizeBytes / 512);
    if (leg.sector + count > sectors) {
      this.#refuse(
        [...path, 'device'],
        `ends at sector ${String(sectors)}, but the I/O region goes to sector ${String(leg.sector + count)} (start ${String(leg.sector)}, count ${String(count)})`,
      );
    }
    const block = probe.logicalBlockSize / 512;
    if (probe.kind === 'block' && leg.sector % block !== 0) {
      this.#refuse(
        [...path, 'sector'],
        `must be a multiple of ${String(block)}: the device's logical blocks are ${String(probe.logicalBlockSize)} bytes`,
      );
    }
    if (probe.kind === 'block' && count % block !== 0) {
      this.#refuse(
        [...path, 'device'],
        `has logical blocks of ${String(probe.logicalBlockSize)} bytes, and the set's ${String(count)} sectors are not a multiple of that: set "size"`,
      );
    }
  }

  #checkLog(set: SetConfig): void {
    const path = ['sets', set.name, 'log', 'path'];
    const probe = this.#probe(set.logPath, path);
    this.#checkDevice(set.logPath, probe, path);
    if (probe?.readOnly === true && !set.readOnly) this.#refuse(path, READ_ONLY);
    const noFile =
      this.#options.creating === true && probe === undefined ? whyNoFile(set.logPath) : undefined;
    if (noFile !== undefined) this.#refuse(path, noFile);
    this.#claims.add({
      path,
      what: `the log ${set.logPath}`,
      device: set.logPath,
      probe,
      start: 0,
      // A file grows as it must: all of it is the log's.
      length: probe?.kind === 'block' ? probe.sizeBytes : NO_END,
      wanted: this.#wanted,
    });
  }

  /** Where init is about to make an image file, and what the first start will then copy where. */
  #checkNew(set: SetConfig, legs: readonly ResolvedLeg[]): void {
    const at = ['sets', set.name, 'regions'] as const;
    // What is there, but could not be looked at, has been refused already.
    const isNew = ({ device, probe }: ResolvedLeg): boolean => probe === undefined && !existsSync(device);
    for (const [index, leg] of legs.entries()) {
      const reason = isNew(leg) ? whyNoImage(leg.device) : undefined;
      if (reason !== undefined) this.#refuse([...at, index, 'device'], reason);
    }
    const existing = legs.findIndex(({ probe }) => probe !== undefined);
    const [first] = legs;
    if (existing > 0 && first !== undefined && isNew(first)) {
      this.#refuse(
        [...at, 0, 'device'],
        `does not exist: a new, empty image would be copied over regions[${String(existing)}]; put the I/O region that holds the data first`,
      );
    }
  }

  #checkStateDir(): void {
    const { stateDir } = this.#config;
    const { mountpoint } = this.#options;
    if (mountpoint !== undefined && isUnder(this.#config.file, mountpoint))
      this.#refuse([], `the config lies under the mountpoint ${mountpoint} itself, which would hide it`);
    if (mountpoint !== undefined && isUnder(stateDir, mountpoint))
      this.#refuse(['state_dir'], `${stateDir} lies under the mountpoint ${mountpoint} itself`);
    if (this.#system === undefined) return;
    const open = whyNotPrivate(stateDir);
    if (open !== undefined)
      this.#refuse(['state_dir'], `${open}: chmod go-w it, or give a folder of your own as state_dir`);
    const reason = whyNoFolder(stateDir);
    if (reason !== undefined)
      this.#refuse(['state_dir'], `${reason}: give a folder that can be written as state_dir`);
  }
}

/** Throws a ConfigError with every refusal. */
export function resolveConfig(config: Config, options: ResolveOptions): ResolvedConfig {
  return new Resolver(config, options).run();
}
