/** The manual: made of the program's own tables, complete, and readable by man(1) without a warning. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { allCommands } from '../../src/cli/commands.js';
import { fillManual, manualParts, withoutDate } from '../../src/cli/manual.js';
import { setAttributeNames } from '../../src/fuse/attributes.js';
import { CONTROL_VERBS } from '../../src/fuse/control/verbs.js';
import { dmiofs, run } from '../helpers/mounted.js';

const MAN = fileURLToPath(new URL('../../man/', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url));
const pages = readdirSync(MAN)
  .filter((name) => name.endsWith('.scd'))
  .map((name) => name.replace(/\.scd$/, ''));

const has = async (program: string): Promise<boolean> =>
  (await run('sh', ['-c', `command -v ${program}`])).code === 0;
const [hasScdoc, hasMan] = [await has('scdoc'), await has('man')];

/** As a reader sees it, without the breaks of lines. */
const read = async (page: string): Promise<string> => {
  const { stdout } = await run('man', ['-l', join(MAN, page)], {
    env: { MANWIDTH: '1000', LC_ALL: 'C.UTF-8', MAN_KEEP_FORMATTING: '' },
  });
  return stdout;
};

describe('the manual', () => {
  it('has three pages', () => {
    expect(pages.sort()).toEqual(['dmiofs.8', 'dmiofs.yaml.5', 'mount.dmiofs.8']);
  });

  describe.skipIf(!hasScdoc)('as scdoc makes it (package scdoc)', () => {
    let parts: Readonly<Record<string, string>>;
    beforeAll(async () => {
      const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string };
      parts = await manualParts(version);
    });

    it.each(pages)('man/%s is current: scripts/generate writes it', async (page) => {
      const source = fillManual(readFileSync(join(MAN, `${page}.scd`), 'utf8'), parts);
      const { code, stdout, stderr } = await run('scdoc', [], { input: source });
      expect([code, stderr]).toEqual([0, '']);
      expect(readFileSync(join(MAN, page), 'utf8')).toBe(withoutDate(stdout));
    });

    it('tells of a part that there is not', () => {
      expect(() => fillManual('@no-such-part@', parts)).toThrow('@no-such-part@');
    });
  });

  describe.skipIf(!hasMan)('as man shows it (package man-db)', () => {
    it.each(pages)('man/%s has no warning', async (page) => {
      const { code, stderr } = await run('man', ['-l', '--warnings', join(MAN, page)]);
      expect([code, stderr]).toEqual([0, '']);
    });

    it('has every command, with its options', async () => {
      const text = await read('dmiofs.8');
      for (const { command } of await allCommands()) {
        const name = String(command).split(' ')[0] ?? '';
        expect(text).toMatch(new RegExp(`^ +dmiofs ${name}\\b`, 'm'));
        const { stdout } = await dmiofs(name, '--help');
        for (const [option] of stdout.matchAll(/^ +(?:-., )?--[a-z-]+/gm))
          if (!/--(?:help|version)/.test(option))
            expect([name, text]).toEqual([name, expect.stringContaining(option.trim())]);
      }
    });

    it('has every attribute and every control verb', async () => {
      const text = await read('dmiofs.8');
      for (const name of [...setAttributeNames(1, true), 'user.dmio.control']) {
        const shown = name.replace(/^user\.dmio\.error_bits(\.\w+)$/, '$1').replace(/\.0$/, '.N');
        expect(text).toContain(shown);
      }
      for (const { usage } of CONTROL_VERBS) expect(text).toContain(usage);
    });

    it('has every key of the config with its default', async () => {
      const text = await read('dmiofs.yaml.5');
      for (const key of [
        'state_dir',
        'engine',
        'sets',
        'regions',
        'sector',
        'io_timeout',
        'truncate',
        'region_size',
      ])
        expect(text).toMatch(new RegExp(`^ +${key}$`, 'm'));
      expect(text).toContain('Default: 512KiB.');
      expect(text).toContain('One of primary, round-robin, fastest.');
    });
  });
});
