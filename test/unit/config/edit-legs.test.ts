/** Changes of a set's legs in the text of a config: what a person wrote around them stays. */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { editLegs } from '../../../src/config/edit-legs.js';
import type { LegChange } from '../../../src/mirror/legs-keeper.js';

const TEXT = `# Two disks.
version: 1
sets:
  data:
    regions:
      # the left one
      - device: /dev/a # slot 1
        sector: 2048
      - device: /dev/b # slot 2
    size: 1GiB # fixed
  other:
    regions: [{device: x.img}, {device: y.img}]
`;
const edit = (change: LegChange, text = TEXT, set = 'data', size?: number): string =>
  editLegs('c.yaml', text, set, change, size);

describe('a change of the legs in a config', () => {
  test('adds a region after the others', () => {
    expect(edit({ kind: 'add', device: '/dev/c', sector: 64 })).toBe(
      TEXT.replace('# slot 2\n', '# slot 2\n      - device: /dev/c\n        sector: 64\n'),
    );
  });

  test('keeps a comment after a key', () => {
    const commented = TEXT.replace('  data:', '  data: # the file');
    expect(edit({ kind: 'remove', leg: 0 }, commented)).toMatch(/ {2}data:\s+# the file\n/);
  });

  test('adds in the style of a list in one line, and of its counts', () => {
    expect(edit({ kind: 'add', device: 'z.img', sector: 0 }, TEXT, 'other')).toContain(
      'regions: [{device: x.img}, {device: y.img}, {device: z.img}]',
    );
    const counted = 'version: 1\nsets:\n  s:\n    regions:\n    - {device: a, count: 8}\n';
    expect(edit({ kind: 'add', device: 'b', sector: 0 }, counted, 's')).toBe(
      `${counted}    - {device: b, count: 8}\n`,
    );
  });

  test('removes a region', () => {
    expect(edit({ kind: 'remove', leg: 1 })).toBe(TEXT.replace('      - device: /dev/b # slot 2\n', ''));
  });

  test('puts another device in place, its comment kept', () => {
    expect(edit({ kind: 'place', leg: 0, device: '/dev/c', sector: 0 })).toBe(
      TEXT.replace('/dev/a #', '/dev/c #').replace('sector: 2048', 'sector: 0'),
    );
    expect(edit({ kind: 'place', leg: 1, device: '/dev/c', sector: 0 })).toBe(
      TEXT.replace('/dev/b #', '/dev/c #'),
    );
  });

  test('a replacement comes, and takes its place or goes', () => {
    const coming = edit({ kind: 'replace', leg: 1, device: '/dev/c', sector: 16 });
    expect(coming).toContain('replacement: {device: /dev/c, sector: 16}');
    expect(edit({ kind: 'give-up', leg: 1 }, coming)).toBe(TEXT);
    expect(edit({ kind: 'promote', leg: 1 }, coming)).toBe(
      TEXT.replace('device: /dev/b # slot 2\n', 'device: /dev/c # slot 2\n        sector: 16\n'),
    );
  });

  test('names the size when it must', () => {
    const text = 'version: 1\nsets:\n  s:\n    regions:\n      - device: a\n      - device: b\n';
    expect(edit({ kind: 'remove', leg: 1 }, text, 's', 64 * 1024 * 1024)).toBe(
      'version: 1\nsets:\n  s:\n    regions:\n      - device: a\n    size: 64MiB\n',
    );
  });

  test('edits JSON as JSON', () => {
    const json = '{"version": 1, "sets": {"s": {"regions": [{"device": "a"}], "size": 512}}}';
    const edited = edit({ kind: 'add', device: 'b', sector: 0 }, json, 's');
    expect(JSON.parse(edited)).toEqual({
      version: 1,
      sets: { s: { regions: [{ device: 'a' }, { device: 'b' }], size: 512 } },
    });
  });

  test('changes no other leg that follows an anchor of this one', () => {
    const shared = `version: 1
sets:
  s:
    regions:
      - device: &disk /dev/a # left
        sector: &start 2048
      - device: /dev/b
        sector: *start
  t:
    regions: [{device: *disk, sector: 9000}, {device: /dev/b, sector: *start}]
`;
    const others = (text: string): unknown => {
      const { sets } = parse(text) as { sets: { s: { regions: unknown[] }; t: unknown } };
      return [sets.s.regions.at(-1), sets.t];
    };
    for (const change of [
      { kind: 'place', leg: 0, device: '/dev/c', sector: 64 },
      { kind: 'remove', leg: 0 },
    ] as const) {
      const edited = edit(change, shared, 's');
      expect(others(edited)).toEqual(others(shared));
      expect(edited).toContain('sector: &start 2048');
    }
    expect(edit({ kind: 'place', leg: 0, device: '/dev/c', sector: 64 }, shared, 's')).toBe(
      shared
        .replace('&disk /dev/a #', '/dev/c #')
        .replace('&start 2048', '64')
        .replace('*start', '&start 2048')
        .replace('*disk', '&disk /dev/a'),
    );
    const coming = edit({ kind: 'replace', leg: 0, device: '/dev/c', sector: 64 }, shared, 's');
    expect(others(edit({ kind: 'promote', leg: 0 }, coming, 's'))).toEqual(others(shared));
  });

  test('keeps the ends of lines', () => {
    const crlf = TEXT.replaceAll('\n', '\r\n');
    expect(edit({ kind: 'remove', leg: 1 }, crlf)).toBe(
      edit({ kind: 'remove', leg: 1 }).replaceAll('\n', '\r\n'),
    );
  });

  test('does not touch what an alias shares', () => {
    const shared = 'version: 1\nsets:\n  s:\n    regions: &r\n      - device: a\n  t:\n    regions: *r\n';
    expect(() => edit({ kind: 'add', device: 'b', sector: 0 }, shared, 't')).toThrow(/edit it by hand/);
    const merged = 'version: 1\nx: &x {device: a}\nsets:\n  s:\n    regions:\n      - *x\n';
    expect(() => edit({ kind: 'place', leg: 0, device: 'b', sector: 0 }, merged, 's')).toThrow(
      /regions\[0\] is written with a YAML alias/,
    );
  });
});
