/** The docs name files, functions and tests of the code: each must be there under that name. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MIRROR_EVENTS, MONITOR_EVENTS } from '../../src/mirror/event.js';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(TOP, path), 'utf8');
const filesOf = (folder: string, wanted: RegExp): readonly string[] =>
  readdirSync(join(TOP, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => wanted.test(path))
    .map((path) => join(folder, path));

const TOP_PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'];
const PAGES = [...TOP_PAGES, ...filesOf('docs', /\.md$/)];
const SOURCES = [
  ...filesOf('native', /\.(h|cc)$/),
  ...filesOf('src', /\.ts$/),
  ...filesOf('test', /\.(ts|mjs|py)$/),
  ...filesOf('scripts', /\.(mjs|c|cc)$/),
];
const CODE = SOURCES.map(read).join('\n');
const NATIVE_TESTS = new Set(
  [...CODE.matchAll(/^TEST\((\w+), (\w+)\)/gm)].map(([, suite, name]) => `${String(suite)}.${String(name)}`),
);
const FIELDS = new Set(CODE.match(/[A-Za-z_]\w+/g));

/** What stands in backticks outside of blocks of code. */
const quoted = (page: string): readonly string[] =>
  [
    ...read(page)
      .replace(/^```[^]*?^```/gm, '')
      .matchAll(/`([^`\n]+)`/g),
  ].map(([, text]) => text ?? '');

/** As GitHub makes them. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
const anchors = (page: string): readonly string[] => [
  ...[...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading ?? '')),
  ...[...read(page).matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id ?? ''),
];

const linksOf = (page: string): readonly string[] =>
  [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => to ?? '').filter((to) => !/^https?:/.test(to));

describe.each(PAGES)('%s', (page) => {
  it('links to what there is', () => {
    for (const link of linksOf(page)) {
      const [path = '', anchor] = link.split('#');
      const file = path === '' ? page : relative(TOP, join(TOP, dirname(page), path));
      expect([link, existsSync(join(TOP, file))]).toEqual([link, true]);
      if (anchor !== undefined)
        expect([link, anchors(file)]).toEqual([link, expect.arrayContaining([anchor])]);
    }
  });

  it('names files that are there', () => {
    const folders = /^(native|src|test|scripts|docs|config|man|bin)\/[\w./@-]+$/;
    const missing = quoted(page)
      .map((text) => text.split(' ')[0] ?? '')
      .filter((text) => folders.test(text) && !/NAME|PROJECT/.test(text))
      .filter((text) => !existsSync(join(TOP, text)));
    expect(missing).toEqual([]);
    // A header or a source by its name alone.
    const bare = quoted(page).filter((text) => /^[\w/-]+\.(h|cc|ts|mjs)$/.test(text) && !folders.test(text));
    expect(bare.filter((text) => !SOURCES.some((path) => path.endsWith(`/${text}`)))).toEqual([]);
  });

  it('names functions and tests that are there', () => {
    const names = quoted(page).filter((text) => /^[A-Za-z_]\w*(::\w+)+(\(\))?$/.test(text));
    for (const name of names) {
      const parts = name.replace('()', '').split('::');
      expect([name, parts.filter((part) => !FIELDS.has(part))]).toEqual([name, []]);
    }
    const suites = new Set([...NATIVE_TESTS].map((name) => name.split('.')[0]));
    const tests = quoted(page).filter(
      (text) => /^\w+\.\w{12,}$/.test(text) && suites.has(text.split('.')[0]),
    );
    expect(tests.filter((name) => !NATIVE_TESTS.has(name))).toEqual([]);
  });
});

it('every page of docs/ can be found from README.md', () => {
  const reached = new Set<string>();
  const walk = (page: string): void => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const link of linksOf(page)) {
      const path = link.split('#')[0] ?? '';
      if (path.endsWith('.md')) walk(relative(TOP, join(TOP, dirname(page), path)));
    }
  };
  walk('README.md');
  expect(PAGES.filter((page) => !reached.has(page))).toEqual([]);
});

describe('docs/mirror.md', () => {
  const rows = [...read('docs/mirror.md').matchAll(/^\| (K\d+) +\|.*\| (.*) \|$/gm)];

  it('has K1 to K13', () => {
    expect(rows.map(([, name]) => name)).toEqual(Array.from({ length: 13 }, (_, n) => `K${String(n + 1)}`));
  });

  it.each(rows.map(([, name, tests]) => [name ?? '', tests ?? ''] as const))(
    '%s has tests, and they are there',
    (_name, tests) => {
      let suite = '';
      const named = [...tests.matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '');
      expect(named.length).toBeGreaterThan(0);
      for (const text of named) {
        if (text.startsWith('test/')) {
          expect([text, existsSync(join(TOP, text))]).toEqual([text, true]);
          continue;
        }
        const dot = text.indexOf('.');
        if (dot > 0) suite = text.slice(0, dot);
        const full = dot > 0 ? text : `${suite}.${text}`;
        const is = full.endsWith('.*')
          ? [...NATIVE_TESTS].some((test) => test.startsWith(full.slice(0, -1)))
          : NATIVE_TESTS.has(full);
        expect([full, is]).toEqual([full, true]);
      }
      for (const [, title] of tests.matchAll(/"([^"]+)"/g))
        expect([title, CODE.includes(title ?? '')]).toEqual([title, true]);
    },
  );
});

it('docs/operations.md tells of every event', () => {
  const table = /^\| event \| tells \|\n[^]*?\n\n/m.exec(read('docs/operations.md'))?.[0] ?? '';
  const told = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names]) =>
    [...(names ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect([...told].sort()).toEqual(Object.keys({ ...MIRROR_EVENTS, ...MONITOR_EVENTS }).sort());
});

it('docs/operations.md names metrics that there are', () => {
  const named = read('docs/operations.md').match(/\bdmiofs_[a-z_]+/g) ?? [];
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !CODE.includes(name))).toEqual([]);
});

it('every attribute that the docs quote is in the manual', () => {
  const manual = filesOf('man', /\.scd$/)
    .map(read)
    .join('\n')
    .replace(/\\/g, '');
  const attributes = PAGES.flatMap(quoted).flatMap(
    (text) => text.match(/^user\.dmio\.[a-z_.]*[a-z_]/g) ?? [],
  );
  expect(attributes.filter((name) => !manual.includes(name))).toEqual([]);
});
