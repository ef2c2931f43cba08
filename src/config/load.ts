/** Loads a config file: YAML with positions, the schema's checks, and the values as the program uses them. Opens no device. */
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { deepFreeze } from '../util/deep-freeze.js';
import { groupId, userId } from './accounts.js';
import { ConfigError, type ConfigIssue } from './config-error.js';
import { realPath } from './places.js';
import { type KeyPath, positionOf } from './positions.js';
import { type ConfigText, durationOf, type SetText, sizeOf } from './schema.js';
import { checkSchema } from './schema-issues.js';
import { parseYaml, readText } from './yaml.js';

export interface RegionConfig {
  /** Absolute. */
  readonly device: string;
  readonly sector: number;
  /** undefined: up to the device's end. */
  readonly count: number | undefined;
  /** What is to take its place when all has been copied to it. */
  readonly replacement: { readonly device: string; readonly sector: number } | undefined;
}

export interface SetConfig {
  readonly name: string;
  readonly regions: readonly RegionConfig[];
  /** Bytes; undefined: the smallest region. */
  readonly size: number | undefined;
  readonly readPolicy: SetText['read_policy'];
  readonly logPath: string;
  readonly syncRegionSectors: number;
  readonly ioTimeoutMs: number;
  readonly readErrorLimit: number;
  readonly start: SetText['start'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly readOnly: boolean;
  readonly truncate: SetText['truncate'];
  readonly cache: SetText['cache'];
}

export interface Config {
  /** Absolute. */
  readonly file: string;
  readonly stateDir: string;
  readonly engine: ConfigText['engine'];
  readonly logLevel: ConfigText['log_level'];
  readonly sets: readonly SetConfig[];
  /** An issue at the place of `path`, for later checks. */
  readonly issue: (path: KeyPath, message: string) => ConfigIssue;
}

/** Where logs and the state of daemons live when the config does not say. */
export function defaultStateDir(
  env: NodeJS.ProcessEnv = process.env,
  uid: number | undefined = process.getuid?.(),
): string {
  // Both are absolute by their specifications; the daemon has another working directory than the commands.
  const systemd = env['STATE_DIRECTORY']?.split(':')[0];
  if (systemd !== undefined && isAbsolute(systemd)) return systemd;
  if (uid === 0) return '/var/lib/dmiofs';
  const base = env['XDG_STATE_HOME'];
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'dmiofs');
}

/** Throws a ConfigError with all that is wrong in the file. */
export function loadConfig(path: string): Config {
  const file = resolve(path);
  return loadConfigText(file, readText(file));
}

/** `text` as what the config file `file` (absolute) holds. */
export function loadConfigText(file: string, text: string): Config {
  const parsed = parseYaml(file, text);
  const checked = checkSchema(parsed);
  if (!checked.ok) throw new ConfigError(file, checked.issues);
  const issue = (at: KeyPath, message: string): ConfigIssue => ({
    position: positionOf(parsed.document, parsed.lines, at),
    path: at,
    message,
  });
  return buildConfig(file, checked.config, issue);
}

function buildConfig(file: string, text: ConfigText, issue: Config['issue']): Config {
  // By a link the file is where it lies: so mount(8) names it, and so it is when its legs are changed.
  const base = dirname(realPath(file));
  const stateDir = text.state_dir === undefined ? defaultStateDir() : resolve(base, text.state_dir);
  const issues: ConfigIssue[] = [];
  const id = (found: number | undefined, at: KeyPath, kind: string, fallback: number): number => {
    if (found === undefined)
      issues.push(
        issue(at, `there is no such ${kind} on this machine: give one that there is, or its number`),
      );
    return found ?? fallback;
  };
  const sets = Object.entries(text.sets).map(
    ([name, set]): SetConfig => ({
      name,
      regions: set.regions.map(({ device, sector, count, replacement }) => ({
        device: resolve(base, device),
        sector,
        count,
        replacement:
          replacement === undefined
            ? undefined
            : { device: resolve(base, replacement.device), sector: replacement.sector },
      })),
      size: set.size === undefined ? undefined : sizeOf(set.size),
      readPolicy: set.read_policy,
      logPath: set.log.path === undefined ? join(stateDir, `${name}.log`) : resolve(base, set.log.path),
      syncRegionSectors: (sizeOf(set.log.region_size) ?? 0) / 512,
      ioTimeoutMs: durationOf(set.io_timeout) ?? 0,
      readErrorLimit: set.read_error_limit,
      start: set.start,
      mode: Number.parseInt(set.mode, 8),
      uid:
        set.owner === undefined
          ? (process.geteuid?.() ?? 0)
          : id(userId(set.owner), ['sets', name, 'owner'], 'user', 0),
      gid:
        set.group === undefined
          ? (process.getegid?.() ?? 0)
          : id(groupId(set.group), ['sets', name, 'group'], 'group', 0),
      readOnly: set.read_only,
      truncate: set.truncate,
      cache: set.cache,
    }),
  );
  if (issues.length > 0) throw new ConfigError(file, issues);
  return deepFreeze({ file, stateDir, engine: text.engine, logLevel: text.log_level, sets, issue });
}
