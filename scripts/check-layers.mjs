// Checks that includes and imports go downward only: `node scripts/check-layers.mjs [FOLDER]` prints file:line of each one that does not.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From the top down: a folder may use itself and what stands after it. */
const NATIVE_LAYERS = ['addon', 'fusemod', 'mirror', 'dmio', 'engine', 'device', 'base'];
const SCRIPT_LAYERS = ['cli', 'config', 'fuse', 'mirror', 'dmio', 'native'];
/** Usable by every layer of src/, and using none. */
const SCRIPT_SHARED = ['util', 'errors.ts'];
/** What native/test may not include: the tests of the core know neither Node nor FUSE. */
const NOT_IN_NATIVE_TESTS = ['addon', 'fusemod'];

/** The fuzz targets: on top of everything but the addon, and included by nobody. */
const FUZZ = 'fuzz';

const NAPI = /^(napi\.h|node_api.*\.h|js_native_api.*\.h|node\.h|uv\.h|v8\.h|node_buffer\.h)$/;
const FUSE = /^(fuse\.h|fuse\/.*|fuse_.*\.h|linux\/fuse\.h)$/;
const SINGLE_INCLUDERS = [
  { what: NAPI, allowed: /^native\/addon\//, rule: 'only native/addon includes it' },
  { what: FUSE, allowed: /^native\/fusemod\//, rule: 'only native/fusemod includes it' },
  {
    what: /^liburing(\.h|\/.*)$/,
    allowed: /^native\/engine\/uring_engine\.cc$/,
    rule: 'only native/engine/uring_engine.cc includes it',
  },
];

const LOADS_ADDON = /\bprocess\.dlopen\b|['"`][^'"`]*\.node['"`]/;
const ADDON_LOADER = 'src/native/binding.ts';

function walk(folder, wanted) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return walk(path, wanted);
      return wanted.test(entry.name) ? [path] : [];
    });
}

/** Each line of a file that `pattern` (global) finds, with its first group that took part. */
function* matches(text, pattern) {
  for (const match of text.matchAll(pattern)) {
    const line = text.slice(0, match.index).split('\n').length;
    yield { line, target: match.slice(1).find((group) => group !== undefined) };
  }
}

function checkInclude(file, layer, target) {
  for (const { what, allowed, rule } of SINGLE_INCLUDERS) {
    if (what.test(target) && !allowed.test(file)) return `includes ${target}: ${rule}`;
  }
  const [targetLayer, ...rest] = target.split('/');
  if (rest.length === 0 || layer === FUZZ) return undefined;
  if (layer === 'test') {
    if (NOT_IN_NATIVE_TESTS.includes(targetLayer))
      return `includes ${target}: the core's tests know no ${targetLayer}`;
    return undefined;
  }
  if (targetLayer === 'test') return `includes ${target}: a test's header`;
  const at = NATIVE_LAYERS.indexOf(layer);
  const to = NATIVE_LAYERS.indexOf(targetLayer);
  if (to !== -1 && to < at) return `includes ${target}: ${layer} is below ${targetLayer}`;
  return undefined;
}

function checkNative(top) {
  const found = [];
  for (const path of walk(join(top, 'native'), /\.(h|cc)$/)) {
    const file = relative(top, path);
    const layer = file.split('/')[1];
    if (layer !== 'test' && layer !== FUZZ && !NATIVE_LAYERS.includes(layer)) {
      found.push(`${file}:1: native/${layer} is no layer: give it its place in scripts/check-layers.mjs`);
      continue;
    }
    const text = readFileSync(path, 'utf8');
    for (const { line, target } of matches(text, /^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)/gm)) {
      if (target.startsWith('.')) {
        found.push(`${file}:${line}: includes ${target}: paths start at native/ ("engine/engine.h")`);
        continue;
      }
      const problem = checkInclude(file, layer, target);
      if (problem !== undefined) found.push(`${file}:${line}: ${problem}`);
    }
  }
  return found;
}

function scriptLayer(file) {
  const [, first] = file.split('/');
  if (SCRIPT_SHARED.includes(first)) return { rank: SCRIPT_LAYERS.length, name: first };
  const rank = SCRIPT_LAYERS.indexOf(first);
  return rank === -1 ? undefined : { rank, name: first };
}

function checkImport(file, layer, target, top) {
  if (target === 'fuse-native')
    return layer.name === 'fuse' ? undefined : 'imports fuse-native: only src/fuse does';
  if (!target.startsWith('.')) return undefined;
  const to = relative(top, resolve(top, dirname(file), target)).replace(/\.js$/, '.ts');
  if (!to.startsWith('src/')) {
    return to.endsWith('.json') ? undefined : `imports ${target}: outside src/`;
  }
  const targetLayer = scriptLayer(to);
  if (targetLayer === undefined) return `imports ${target}: of no layer`;
  if (targetLayer.rank < layer.rank) return `imports ${target}: ${layer.name} is below ${targetLayer.name}`;
  return undefined;
}

function checkScripts(top) {
  const found = [];
  // Static imports and re-exports (over several lines too), and dynamic import() or require().
  const imports = /^(?:import|export)\b[^'";]*?['"]([^'"]+)['"]|\b(?:import|require)\(\s*['"]([^'"]+)['"]/gm;
  for (const path of walk(join(top, 'src'), /\.ts$/)) {
    const file = relative(top, path);
    const layer = scriptLayer(file);
    if (layer === undefined) {
      found.push(`${file}:1: of no layer: give it its place in scripts/check-layers.mjs`);
      continue;
    }
    const text = readFileSync(path, 'utf8');
    for (const { line, target } of matches(text, imports)) {
      const problem = checkImport(file, layer, target, top);
      if (problem !== undefined) found.push(`${file}:${line}: ${problem}`);
    }
    text.split('\n').forEach((line, index) => {
      if (file !== ADDON_LOADER && LOADS_ADDON.test(line)) {
        found.push(`${file}:${index + 1}: loads an addon: only ${ADDON_LOADER} does`);
      }
    });
  }
  return found;
}

/** The violations of the tree at `top`, each `file:line: what`. */
export function checkLayers(top) {
  return [...checkNative(top), ...checkScripts(top)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const top = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'));
  const found = checkLayers(top);
  for (const line of found) console.log(line);
  process.exitCode = found.length > 0 ? 1 : 0;
}
