/** Loads a config file: YAML with positions, the schema's checks, and the values as the program uses them. Opens no device. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { groupId, userId } from './accounts.js';
import { ConfigError, type ConfigIssue } from './config-error.js';
import { type KeyPath, positionOf } from './positions.js';
import { type ConfigText, configSchema, durationOf, modeOf, type SetText, sizeOf } from './schema.js';
import { nearestKey } from './nearest.js';

const MAX_BYTES = 1024 * 1024;
const MAX_ALIASES = 100;

export interface RegionConfig {
  /** Absolute. */
  readonly device: string;
  readonly sector: number;
  /** undefined: up to the device's end. */
  readonly count: number | undefined;
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
  const systemd = env['STATE_DIRECTORY']?.split(':')[0];
  if (systemd !== undefined && systemd !== '') return systemd;
  if (uid === 0) return '/var/lib/dmiofs';
  const base = env['XDG_STATE_HOME'];
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.local', 'state'), 'dmiofs');
}

function readText(file: string): string {
  const start = { position: { line: 1, column: 1 }, path: [] };
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(file, [{ ...start, message: `cannot be read: ${reason}` }]);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new ConfigError(file, [{ ...start, message: 'is not a file' }]);
    if (stat.size > MAX_BYTES)
      throw new ConfigError(file, [{ ...start, message: 'is larger than 1 MiB: not a config file' }]);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

interface Parsed {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly value: unknown;
}

function parseYaml(file: string, text: string): Parsed {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    throw new ConfigError(
      file,
      problems.map((error) => {
        const { line, col } = lines.linePos(error.pos[0]);
        const message =
          error.code === 'DUPLICATE_KEY'
            ? 'is there twice: a key, and so the name of a set, must be unique'
            : (error.message.split('\n')[0] ?? error.message);
        return {
          position: { line: Math.max(line, 1), column: Math.max(col, 1) },
          path: [],
          message: message.replace(/ at line .*$/, ''),
        };
      }),
    );
  }
  try {
    return { document, lines, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError(file, [{ position: { line: 1, column: 1 }, path: [], message }]);
  }
}

function schemaIssues(
  parsed: Parsed,
  issues: readonly { code?: string; path: PropertyKey[]; message: string; keys?: string[] }[],
): ConfigIssue[] {
  const at = (path: KeyPath, message: string, want: 'key' | 'value' = 'value'): ConfigIssue => ({
    position: positionOf(parsed.document, parsed.lines, path, want),
    path,
    message,
  });
  return issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    if (issue.code === 'unrecognized_keys') {
      return (issue.keys ?? []).map((key) => {
        const near = nearestKey(key, path);
        return at(
          [...path, key],
          near === undefined ? 'is not a known key' : `is not a known key; did you mean "${near}"?`,
          'key',
        );
      });
    }
    if (issue.code === 'invalid_key') {
      const inner =
        (issue as unknown as { issues?: { message: string }[] }).issues?.[0]?.message ?? issue.message;
      return [at(path, `the name ${inner}`, 'key')];
    }
    return [at(path, issue.message.replace(/^Invalid input: /, ''))];
  });
}

export function loadConfig(path: string): Config {
  const file = resolve(path);
  const parsed = parseYaml(file, readText(file));
  const checked = configSchema.safeParse(parsed.value);
  if (!checked.success) throw new ConfigError(file, schemaIssues(parsed, checked.error.issues));
  const issue = (at: KeyPath, message: string): ConfigIssue => ({
    position: positionOf(parsed.document, parsed.lines, at),
    path: at,
    message,
  });
  return buildConfig(file, checked.data, issue);
}

function buildConfig(file: string, text: ConfigText, issue: Config['issue']): Config {
  const base = dirname(file);
  const stateDir = text.state_dir === undefined ? defaultStateDir() : resolve(base, text.state_dir);
  const issues: ConfigIssue[] = [];
  const id = (found: number | undefined, at: KeyPath, kind: string, fallback: number): number => {
    if (found === undefined) issues.push(issue(at, `there is no such ${kind} on this machine`));
    return found ?? fallback;
  };
  const sets = Object.entries(text.sets).map(
    ([name, set]): SetConfig => ({
      name,
      regions: set.regions.map(({ device, sector, count }) => ({
        device: resolve(base, device),
        sector,
        count,
      })),
      size: set.size === undefined ? undefined : sizeOf(set.size),
      readPolicy: set.read_policy,
      logPath: set.log.path === undefined ? join(stateDir, `${name}.log`) : resolve(base, set.log.path),
      syncRegionSectors: (sizeOf(set.log.region_size) ?? 0) / 512,
      ioTimeoutMs: durationOf(set.io_timeout) ?? 0,
      start: set.start,
      mode: modeOf(set.mode) ?? 0o600,
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
  return { file, stateDir, engine: text.engine, logLevel: text.log_level, sets, issue };
}
