/** The second stage of a config: what its devices make of it. Gives the sets as they would be, or every refusal at its place in the file. */
import { realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { isNativeError, type DeviceProbe } from '../native/binding.js';
import { formatSize } from '../util/size.js';
import { type Extent, extentOf, overlap, useOf } from './block-devices.js';
import { ConfigError, type ConfigIssue } from './config-error.js';
import type { Config, SetConfig } from './load.js';
import { formatPath, type KeyPath } from './positions.js';

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
}

export interface ResolvedConfig extends Omit<Config, 'sets' | 'issue'> {
  readonly sets: readonly ResolvedSet[];
}

export interface ResolveOptions {
  readonly probeDevice: (path: string) => DeviceProbe;
  /** Only these sets; all when undefined. */
  readonly only?: readonly string[] | undefined;
  readonly mountpoint?: string | undefined;
  /** A missing image file is about to be made: it needs a size, and is no refusal. */
  readonly creating?: boolean;
  /** Looks whether devices are free; off for what only reads the config. */
  readonly checkUse?: boolean;
}

interface Use {
  readonly path: KeyPath;
  readonly what: string;
  readonly extent: Extent;
}

/** The real path as far as it exists. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), path.slice(parent.length).replace(/^\/+/, ''));
  }
}

export function isUnder(path: string, folder: string): boolean {
  const way = relative(realPath(folder), realPath(path));
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith('/'));
}

const MISSING = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'ENOTDIR', 'EIO', 'ENOMEDIUM']);

class Resolver {
  readonly #config: Config;
  readonly #options: ResolveOptions;
  readonly #issues: ConfigIssue[] = [];
  readonly #uses: Use[] = [];

  constructor(config: Config, options: ResolveOptions) {
    this.#config = config;
    this.#options = options;
  }

  run(): ResolvedConfig {
    const { only } = this.#options;
    for (const name of only ?? []) {
      if (!this.#config.sets.some((set) => set.name === name))
        this.#refuse(['sets'], `there is no set ${JSON.stringify(name)} in this config`);
    }
    const sets = this.#config.sets
      .filter((set) => only === undefined || only.includes(set.name))
      .map((set) => this.#resolveSet(set));
    this.#checkOverlaps();
    if (this.#issues.length > 0) throw new ConfigError(this.#config.file, this.#issues);
    const { file, stateDir, engine, logLevel } = this.#config;
    return { file, stateDir, engine, logLevel, sets };
  }

  #refuse(path: KeyPath, message: string): void {
    this.#issues.push(this.#config.issue(path, message));
  }

  #probe(device: string, path: KeyPath): DeviceProbe | undefined {
    try {
      return this.#options.probeDevice(device);
    } catch (error) {
      if (!isNativeError(error)) throw error;
      if (!MISSING.has(error.code)) this.#refuse(path, error.message);
      return undefined;
    }
  }

  #resolveSet(set: SetConfig): ResolvedSet {
    const at = ['sets', set.name] as const;
    const legs = set.regions.map((region, index) => {
      const path = [...at, 'regions', index, 'device'];
      const probe = this.#probe(region.device, path);
      this.#checkDevice(region.device, probe, path);
      if (probe?.readOnly === true && !set.readOnly) this.#refuse(path, 'cannot be written: it is read-only');
      return { device: region.device, sector: region.sector, probe };
    });
    const count = this.#count(set, legs);
    if (count !== undefined) {
      for (const [index, leg] of legs.entries()) this.#checkRegion(set, leg, index, count);
    }
    this.#checkLog(set);
    return { ...set, count: count ?? 0, legs };
  }

  #checkDevice(device: string, probe: DeviceProbe | undefined, path: KeyPath): void {
    const { mountpoint, checkUse } = this.#options;
    if (mountpoint !== undefined && isUnder(device, mountpoint)) {
      this.#refuse(path, `lies under the mountpoint ${mountpoint} itself: the mount would wait for itself`);
    }
    const use = probe === undefined || checkUse === false ? undefined : useOf(probe);
    if (use !== undefined) this.#refuse(path, `is in use: ${use}`);
  }

  /** Sectors in the set; undefined: it was refused. */
  #count(set: SetConfig, legs: readonly ResolvedLeg[]): number | undefined {
    const at = ['sets', set.name] as const;
    const counts = set.regions.map((region, index) => {
      if (region.count !== undefined) return region.count;
      const probe = legs[index]?.probe;
      if (probe === undefined) return undefined;
      const left = Math.floor(probe.sizeBytes / 512) - region.sector;
      if (left > 0) return left;
      this.#refuse(
        [...at, 'regions', index, 'sector'],
        `starts at or beyond the device's end: it has ${String(Math.floor(probe.sizeBytes / 512))} sectors`,
      );
      return undefined;
    });
    const explicit = set.regions.flatMap(({ count }, index) =>
      count === undefined ? [] : [{ count, index }],
    );
    const [first] = explicit;
    const other = explicit.find(({ count }) => count !== first?.count);
    if (first !== undefined && other !== undefined) {
      this.#refuse(
        [...at, 'regions', other.index, 'count'],
        `is ${String(other.count)} sectors, but regions[${String(first.index)}] has ${String(first.count)}: all I/O regions of a set have the same count`,
      );
      return undefined;
    }
    const sized = set.size === undefined ? undefined : set.size / 512;
    if (sized !== undefined && first !== undefined && first.count !== sized) {
      this.#refuse(
        [...at, 'regions', first.index, 'count'],
        `is ${String(first.count)} sectors, but size says ${String(sized)}: leave one of them out`,
      );
      return undefined;
    }
    const known = counts.filter((count) => count !== undefined);
    const count = sized ?? first?.count ?? (known.length > 0 ? Math.min(...known) : undefined);
    if (count === undefined) {
      if (this.#options.creating === true)
        this.#refuse(at, 'has no image file yet and no size: add the key "size", such as size: 1GiB');
      else
        this.#refuse(
          at,
          'has no device that can be opened, and neither size nor count: dmiofs init creates missing image files of a set with a size',
        );
      return undefined;
    }
    if (
      this.#options.creating === true &&
      sized === undefined &&
      legs.some(({ probe }) => probe === undefined)
    ) {
      this.#refuse(at, 'has a missing image file and no size: add the key "size", so that it can be created');
    }
    return count;
  }

  #checkRegion(set: SetConfig, leg: ResolvedLeg, index: number, count: number): void {
    const path = ['sets', set.name, 'regions', index];
    const { probe } = leg;
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
    this.#uses.push({
      path: [...path, 'device'],
      what: `${leg.device} from sector ${String(leg.sector)}`,
      extent: extentOf(probe, leg.sector * 512, count * 512),
    });
  }

  #checkLog(set: SetConfig): void {
    const path = ['sets', set.name, 'log', 'path'];
    const probe = this.#probe(set.logPath, path);
    this.#checkDevice(set.logPath, probe, path);
    if (probe !== undefined) {
      this.#uses.push({
        path,
        what: `the log ${set.logPath}`,
        extent: extentOf(probe, 0, Math.max(probe.sizeBytes, 1)),
      });
    } else if (this.#config.sets.some((other) => other !== set && other.logPath === set.logPath)) {
      this.#refuse(path, `is the log of another set too: ${set.logPath}`);
    }
  }

  #checkOverlaps(): void {
    for (const [index, use] of this.#uses.entries()) {
      const other = this.#uses.slice(0, index).find((before) => overlap(before.extent, use.extent));
      if (other === undefined) continue;
      const bytes =
        Math.min(use.extent.end, other.extent.end) - Math.max(use.extent.start, other.extent.start);
      this.#refuse(
        use.path,
        `overlaps ${formatPath(other.path)} (${other.what}) by ${formatSize(bytes)}: each I/O region needs its own place`,
      );
    }
  }
}

/** Throws a ConfigError with every refusal. */
export function resolveConfig(config: Config, options: ResolveOptions): ResolvedConfig {
  return new Resolver(config, options).run();
}
