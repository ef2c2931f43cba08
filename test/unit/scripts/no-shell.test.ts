/** What SECURITY.md and docs/dependencies.md promise of the source as a whole. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const top = new URL('../../../', import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(top, path), 'utf8');

function files(folder: string, ending: RegExp): readonly string[] {
  return readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => join(folder, name));
}

describe('no shell', () => {
  test.each(files('src', /\.ts$/))('%s starts programs with a list of arguments', (path) => {
    const text = read(path);
    const imported = /import \{([^}]*)\} from 'node:child_process'/.exec(text)?.[1] ?? '';
    const names = imported.split(',').map((name) => name.replace('type ', '').trim());
    const allowed = ['', 'spawn', 'execFile', 'execFileSync', 'spawnSync', 'ChildProcess'];
    expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(text).not.toMatch(/\bshell:\s*true/);
    if (imported !== '') expect(text).not.toMatch(/['"](?:\/bin\/)?(?:ba|da)?sh['"]/);
  });

  test.each(files('native', /\.(cc|h)$/).filter((path) => !path.startsWith('native/test')))(
    '%s neither',
    (path) => {
      expect(read(path)).not.toMatch(/\b(system|popen|execl|execlp)\s*\(/);
    },
  );
});

test('docs/dependencies.md names every package, and no other', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const [, atRunTime = '', building = ''] = read('docs/dependencies.md').split(/^## npm.*$/m);
  const rows = (text: string): readonly string[] =>
    [...(text.split(/^## /m)[0] ?? '').matchAll(/^\| (\S[^|]*?) \|/gm)]
      .flatMap(([, cell]) => (cell ?? '').split(', '))
      .filter((name) => name !== 'package' && name !== '---');
  expect([...rows(atRunTime)].sort()).toEqual(Object.keys(dependencies).sort());
  expect([...rows(building)].sort()).toEqual(Object.keys(devDependencies).sort());
});
