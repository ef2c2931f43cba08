/** Whatever stands in the file, loading it ends in a Config or in a ConfigError with places inside the file. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ConfigError } from '../../../src/config/config-error.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFolder } from '../../helpers/config-file.js';

let folder: ConfigFolder;
beforeAll(() => {
  folder = new ConfigFolder();
});
afterAll(() => {
  folder.remove();
});

const GOOD = `version: 1
state_dir: ./state
sets:
  data: &d
    regions:
      - device: /dev/disk/by-id/a
        sector: 2048
        count: 2097152
      - {device: ./b.img}
    size: 1GiB
    log: {path: ./data.log, region_size: 512KiB}
    io_timeout: 30s
    mode: "0600"
  more: *d
`;

function expectEnds(text: string): void {
  const file = folder.write(text);
  try {
    const config = loadConfig(file);
    expect(config.sets.length).toBeGreaterThan(0);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.issues.length).toBeGreaterThan(0);
    const lines = text.split('\n').length;
    for (const { position, message } of error.issues) {
      expect(message).not.toBe('');
      expect(position.column).toBeGreaterThanOrEqual(1);
      expect(position.line).toBeGreaterThanOrEqual(1);
      expect(position.line).toBeLessThanOrEqual(lines);
    }
  }
}

test('a good config with pieces cut out, doubled or put in', () => {
  const piece = fc.constantFrom(
    ...[
      '&d ',
      '*d',
      '!!int ',
      '!x ',
      '? ',
      ': ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '|\n',
      '>\n',
      '#',
      '%',
      '\t',
    ],
    ...[
      '\n',
      '  ',
      '\0',
      '\uFEFF',
      '---\n',
      '...\n',
      '<<: *d\n',
      '__proto__: 1\n',
      'null',
      '~',
      '1e999',
      '.nan',
      '-0',
    ],
  );
  const edit = fc.record({
    at: fc.nat(GOOD.length),
    cut: fc.nat(12),
    put: fc.oneof(piece, fc.string({ maxLength: 6 })),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      expectEnds(
        edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), GOOD),
      );
    }),
    { numRuns: 500 },
  );
});

test('values of every shape under every key', () => {
  const value = fc.oneof(
    { depthSize: 'small' },
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(1, 0, -1, 0.5, 2 ** 53, '1GiB', '30s', '0600', true, null, ''),
  );
  const region = fc.dictionary(fc.constantFrom('device', 'sector', 'count', 'x'), value);
  const set = fc.dictionary(
    fc.constantFrom('size', 'log', 'mode', 'io_timeout', 'start', 'cache', 'read_only', 'truncate', 'y'),
    value,
  );
  const config = fc.record({
    version: fc.oneof(fc.constant(1), value),
    engine: value,
    sets: fc.oneof(
      value,
      fc.dictionary(
        fc.string({ maxLength: 8 }),
        fc.oneof(
          value,
          fc.tuple(set, fc.array(region)).map(([keys, regions]) => ({ ...keys, regions })),
        ),
      ),
    ),
  });
  fc.assert(
    fc.property(config, (tree) => {
      expectEnds(stringify(tree));
    }),
    { numRuns: 300 },
  );
});
