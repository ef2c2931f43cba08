// The two floors are C programs: compiled when they are needed and newer than their binary.
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './processes.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = fileURLToPath(new URL('../../build/bench', import.meta.url));
const LIBRARIES = { 'raw-floor': ['-luring', '-lpthread'], 'fuse-floor': ['-luring', '-lpthread'] };
const made = new Map();

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

async function compile(name) {
  const source = join(here, `${name}.c`);
  const binary = join(folder, name);
  if (changed(binary) > changed(source)) return binary;
  mkdirSync(folder, { recursive: true });
  const flags = [];
  if (name === 'fuse-floor') {
    try {
      flags.push(...(await run('pkg-config', ['--cflags', '--libs', 'fuse3'])).trim().split(/\s+/));
    } catch {
      throw new Error('needs libfuse3: apt-get install libfuse3-dev pkg-config');
    }
  }
  await run('cc', ['-O2', '-D_FILE_OFFSET_BITS=64', '-o', binary, source, ...flags, ...LIBRARIES[name]]);
  return binary;
}

/** The path of a program of the benchmark's own. */
export function program(name) {
  if (!made.has(name)) made.set(name, compile(name));
  return made.get(name);
}
