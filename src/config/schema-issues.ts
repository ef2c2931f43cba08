/** The schema's findings as issues: each at its place, in words that say what would be right. */
import type { z } from 'zod';
import type { ConfigIssue } from './config-error.js';
import { knownKeys, nearest, nearestKey } from './nearest.js';
import { type KeyPath, positionOf } from './positions.js';
import { badName, configSchema, type ConfigText } from './schema.js';
import type { ParsedYaml } from './yaml.js';

const NOUNS: Readonly<Record<string, string>> = {
  object: 'a map of keys',
  record: 'a map of keys',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
};

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return typeof value === 'string' ? 'text' : `the ${typeof value} ${JSON.stringify(value)}`;
}

/** What to say where the schema has no words of its own; undefined: zod's. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'is missing';
    return `must be ${NOUNS[issue.expected] ?? issue.expected}, not ${kindOf(issue.input)}`;
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const near = typeof issue.input === 'string' ? nearest(issue.input, values) : undefined;
    const all = `must be one of ${values.join(', ')}`;
    return near === undefined ? all : `${all}; did you mean "${near}"?`;
  }
  return undefined;
}

function issuesOf(parsed: ParsedYaml, issue: z.core.$ZodIssue): readonly ConfigIssue[] {
  const at = (path: KeyPath, message: string, want: 'key' | 'value' = 'value'): ConfigIssue => ({
    position: positionOf(parsed.document, parsed.lines, path, want),
    path,
    message,
  });
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code !== 'unrecognized_keys') return [at(path, issue.message)];
  return issue.keys.map((key) => {
    const near = nearestKey(key, path);
    const advice = near === undefined ? `here are: ${knownKeys(path).join(', ')}` : `did you mean "${near}"?`;
    return at([...path, key], `is not a known key; ${advice}`, 'key');
  });
}

/** Beside the schema: a record's keys that zod refuses hide what is wrong in their values, and it passes over "__proto__". */
function badNames(parsed: ParsedYaml): readonly ConfigIssue[] {
  const { value } = parsed;
  const sets: unknown =
    typeof value === 'object' && value !== null && 'sets' in value ? value.sets : undefined;
  if (typeof sets !== 'object' || sets === null || Array.isArray(sets)) return [];
  return Object.keys(sets).flatMap((name) => {
    const reason = badName(name);
    if (reason === undefined) return [];
    const path = ['sets', name];
    const position = positionOf(parsed.document, parsed.lines, path, 'key');
    return [{ position, path, message: `the name ${reason}` }];
  });
}

export type SchemaResult =
  | { readonly ok: true; readonly config: ConfigText }
  | { readonly ok: false; readonly issues: readonly ConfigIssue[] };

/** All that is wrong in the file, of its syntax too. */
export function checkSchema(parsed: ParsedYaml): SchemaResult {
  const checked = configSchema.safeParse(parsed.value, { error: wording });
  const found = checked.success ? [] : checked.error.issues.flatMap((issue) => issuesOf(parsed, issue));
  const issues = [...parsed.issues, ...badNames(parsed), ...found];
  return checked.success && issues.length === 0 ? { ok: true, config: checked.data } : { ok: false, issues };
}
