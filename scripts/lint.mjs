// The checks of scripts/lint. Last line: `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(top);

const SKIPPED_FOLDERS = new Set(['node_modules', '.git', 'build', 'dist', 'var', 'fixtures']);

function files(folder, wanted) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : files(path, wanted);
    return entry.isFile() && wanted(path) ? [relative(top, path)] : [];
  });
}

const isNative = (path) => /\.(h|cc)$/.test(path);
const isShell = (path) => {
  if (path.endsWith('.sh')) return true;
  if (/\.[a-z]+$/.test(path.replace(/^.*\//, ''))) return false;
  return /^#!.*\b(ba)?sh\b/.test(readFileSync(path, 'utf8').slice(0, 80));
};

const nativeSources = () => files(join(top, 'native'), isNative).sort();
const shellSources = () =>
  ['scripts', 'bin', '.ci', 'test'].flatMap((folder) => files(join(top, folder), isShell)).sort();
const local = (name, path) => [process.execPath, join('node_modules', name, path)];

/** Is the command on this machine? */
const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;

const hasLiburing = () =>
  spawnSync(process.execPath, ['scripts/gyp-liburing.mjs'], { encoding: 'utf8' }).stdout.trim() !== 'none';

// name, command and arguments, the program it needs (from Debian), and how to mend it.
const checks = [
  {
    name: 'format-ts',
    run: () => [...local('@biomejs/biome', 'bin/biome'), 'format'],
    mend: 'scripts/format',
  },
  {
    name: 'format-native',
    needs: 'clang-format-19',
    run: () => ['clang-format-19', '--dry-run', '-Werror', '--ferror-limit=3', ...nativeSources()],
    mend: 'scripts/format',
  },
  {
    name: 'format-shell',
    needs: 'shfmt',
    run: () => ['shfmt', '-d', '-i', '2', '-ci', ...shellSources()],
    mend: 'scripts/format',
  },
  { name: 'types', run: () => [...local('typescript', 'bin/tsc'), '-p', 'tsconfig.json', '--noEmit'] },
  { name: 'eslint', run: () => [...local('eslint', 'bin/eslint.js'), '--max-warnings=0', '.'] },
  { name: 'layers', run: () => [process.execPath, 'scripts/check-layers.mjs'] },
  { name: 'shellcheck', needs: 'shellcheck', run: () => ['shellcheck', ...shellSources()] },
  {
    // The core only: what includes Node's or FUSE's headers is compiled, and warned about, by the build.
    name: 'thread-safety',
    needs: 'clang++-19',
    run: () => [
      'clang++-19',
      '-std=c++20',
      '-fsyntax-only',
      '-fno-exceptions',
      '-Inative',
      '-D_FILE_OFFSET_BITS=64',
      '-D_GNU_SOURCE',
      `-DDMIOFS_HAVE_LIBURING=${hasLiburing() ? 1 : 0}`,
      '-Wall',
      '-Wextra',
      '-Wshadow',
      '-Wno-unused-parameter',
      '-Wno-missing-field-initializers',
      '-Wthread-safety',
      '-Werror',
      ...nativeSources().filter((path) => path.endsWith('.cc') && !/^native\/(addon|fusemod)\//.test(path)),
    ],
  },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !checks.some((check) => check.name === name));
if (unknown.length > 0) {
  console.log(
    `no such check: ${unknown.join(', ')}. There are: ${checks.map((check) => check.name).join(', ')}`,
  );
  process.exit(2);
}

let passed = 0;
let failed = 0;
let skipped = 0;
for (const check of checks) {
  if (wanted.length > 0 && !wanted.includes(check.name)) continue;
  if (check.needs !== undefined && !has(check.needs)) {
    skipped += 1;
    console.log(`SKIP lint ${check.name}: ${check.needs} is not installed (scripts/setup --test)`);
    continue;
  }
  const [command, ...args] = check.run();
  const result = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (result.status === 0) {
    passed += 1;
    console.log(`ok   lint ${check.name}`);
  } else {
    failed += 1;
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`.trimEnd());
    console.log(`FAIL lint ${check.name}${check.mend === undefined ? '' : ` (${check.mend} mends it)`}`);
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed + skipped === 0 ? 1 : 0;
