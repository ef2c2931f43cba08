/** What config/ holds is ready to use, and made of the code as it is. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { jsonSchemas } from '../../../src/config/json-schema.js';
import { loadConfig } from '../../../src/config/load.js';
import { resolveConfig } from '../../../src/config/resolve.js';
import { configSchema, logSchema, regionSchema, setSchema } from '../../../src/config/schema.js';
import type { DeviceProbe } from '../../../src/native/device.js';

const CONFIG = fileURLToPath(new URL('../../../config/', import.meta.url));
const examples = readdirSync(CONFIG).filter((name) => name.endsWith('.yaml'));
const text = (name: string): string => readFileSync(join(CONFIG, name), 'utf8');

/** A 64 GiB disk of its own for each path. */
function disks(): (path: string) => DeviceProbe {
  const inodes = new Map<string, number>();
  return (path) => {
    inodes.set(path, inodes.get(path) ?? inodes.size + 1);
    return {
      path,
      kind: 'file',
      sizeBytes: 64 * 1024 ** 3,
      logicalBlockSize: 4096,
      direct: true,
      readOnly: false,
      rdev: '0',
      dev: '0',
      inode: String(inodes.get(path)),
      serial: '',
    };
  };
}

test.each(Object.entries(jsonSchemas()))(
  'config/%s is current: scripts/generate writes it',
  (name, expected) => {
    expect(text(name)).toBe(expected);
  },
);

test('every key has words that explain it', () => {
  for (const schema of [configSchema, setSchema, logSchema, regionSchema]) {
    for (const [key, value] of Object.entries<z.ZodType>(schema.shape)) {
      expect([key, value.description]).not.toEqual([key, undefined]);
    }
  }
});

describe.each(examples)('config/%s', (name) => {
  test('loads, and its sets fit on their devices', () => {
    const config = loadConfig(join(CONFIG, name));
    const { sets } = resolveConfig(config, { probeDevice: disks(), checkUse: false });
    expect(sets.length).toBe(config.sets.length);
  });

  test('is right by the JSON Schema too, which editors go by', () => {
    expect(text(name)).toMatch(/^# yaml-language-server: \$schema=\.\/dmiofs\.schema\.json\n/);
    const schema = z.fromJSONSchema(
      JSON.parse(text('dmiofs.schema.json')) as Parameters<typeof z.fromJSONSchema>[0],
    );
    expect(schema.safeParse(parse(text(name))).error).toBeUndefined();
    expect(schema.safeParse({ ...(parse(text(name)) as object), stats_dir: 'x' }).success).toBe(false);
  });
});

test('three-legs.yaml shows every key', () => {
  const { sets, ...top } = parse(text('three-legs.yaml')) as { sets: Record<string, { log: object }> };
  expect(Object.keys({ ...top, sets }).sort()).toEqual(Object.keys(configSchema.shape).sort());
  expect(Object.keys(sets['archive'] ?? {}).sort()).toEqual(Object.keys(setSchema.shape).sort());
  expect(Object.keys(sets['archive']?.log ?? {}).sort()).toEqual(Object.keys(logSchema.shape).sort());
});
