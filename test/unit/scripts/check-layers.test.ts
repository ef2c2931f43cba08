import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../scripts/check-layers.mjs', import.meta.url));

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-layers-'));
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

/** The violations of a tree of these files. */
function check(files: Readonly<Record<string, string>>): readonly string[] {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(top, dirname(name)), { recursive: true });
    writeFileSync(join(top, name), text);
  }
  const run = spawnSync(process.execPath, [SCRIPT, top], { encoding: 'utf8' });
  const lines = run.stdout.split('\n').filter((line) => line !== '');
  expect(run.status, run.stderr).toBe(lines.length > 0 ? 1 : 0);
  return lines;
}

describe('check-layers', () => {
  it('holds for this very tree', () => {
    expect(execFileSync(process.execPath, [SCRIPT], { encoding: 'utf8' })).toBe('');
  });

  it('passes includes and imports that go downward', () => {
    expect(
      check({
        'native/mirror/a.cc': '#include "mirror/a.h"\n#include "dmio/dm_io.h"\n#include <vector>\n',
        'native/addon/addon.cc': '#include <napi.h>\n#include "fusemod/module.h"\n',
        'native/fusemod/module.cc': '#include <fuse.h>\n#include <linux/fuse.h>\n',
        'native/engine/uring_engine.cc': '#include <liburing.h>\n',
        'native/test/a_test.cc': '#include "mirror/a.h"\n#include "test/harness.h"\n',
        'src/cli/main.ts': "import { a } from '../config/load.js';\nimport pkg from '../../package.json';\n",
        'src/mirror/set.ts':
          "import type { B } from '../native/binding.js';\nimport { E } from '../errors.js';\n",
        'src/native/binding.ts': "process.dlopen(m, 'dmiofs.node');\n",
        'src/fuse/mount.ts': "const fuse = require('fuse-native');\n",
      }),
    ).toEqual([]);
  });

  it.each([
    [
      'an include upward',
      'native/base/a.h',
      '\n#include "engine/engine.h"\n',
      'native/base/a.h:2: includes engine/engine.h: base is below engine',
    ],
    [
      'a relative include',
      'native/dmio/a.cc',
      '#include "../base/a.h"\n',
      'native/dmio/a.cc:1: includes ../base/a.h',
    ],
    [
      'napi outside the addon',
      'native/mirror/a.cc',
      '#include <napi.h>\n',
      'native/mirror/a.cc:1: includes napi.h: only native/addon',
    ],
    [
      'fuse outside its module',
      'native/addon/a.cc',
      '# include <fuse/fuse.h>\n',
      'native/addon/a.cc:1: includes fuse/fuse.h: only native/fusemod',
    ],
    [
      'liburing elsewhere',
      'native/engine/b.cc',
      '#include <liburing.h>\n',
      'native/engine/b.cc:1: includes liburing.h',
    ],
    [
      'the addon in a native test',
      'native/test/a.cc',
      '#include "addon/init.h"\n',
      'native/test/a.cc:1: includes addon/init.h',
    ],
    [
      'a test header in the core',
      'native/base/a.cc',
      '#include "test/harness.h"\n',
      'native/base/a.cc:1: includes test/harness.h',
    ],
    ['an unknown native folder', 'native/extra/a.cc', '', 'native/extra/a.cc:1: native/extra is no layer'],
    [
      'an import upward',
      'src/dmio/a.ts',
      "import {\n  b,\n} from '../mirror/b.js';\n",
      'src/dmio/a.ts:1: imports ../mirror/b.js: dmio is below mirror',
    ],
    [
      'a type import upward',
      'src/util/a.ts',
      "import type { B } from '../native/binding.js';\n",
      'src/util/a.ts:1: imports',
    ],
    [
      'a re-export upward',
      'src/native/a.ts',
      "export * from '../cli/b.js';\n",
      'src/native/a.ts:1: imports ../cli/b.js',
    ],
    [
      'a dynamic import upward',
      'src/fuse/a.ts',
      "const b = await import('../cli/b.js');\n",
      'src/fuse/a.ts:1: imports ../cli/b.js',
    ],
    [
      'an import of a test',
      'src/fuse/a.ts',
      "import { b } from '../../test/b.js';\n",
      'src/fuse/a.ts:1: imports ../../test/b.js: outside src/',
    ],
    [
      'fuse-native elsewhere',
      'src/cli/a.ts',
      "import Fuse from 'fuse-native';\n",
      'src/cli/a.ts:1: imports fuse-native',
    ],
    [
      'the addon loaded elsewhere',
      'src/dmio/a.ts',
      "\nconst a = require('x/dmiofs.node');\n",
      'src/dmio/a.ts:2: loads an addon',
    ],
    ['an unknown folder of src', 'src/extra/a.ts', '', 'src/extra/a.ts:1: of no layer'],
  ])('finds %s', (_what, file, text, expected) => {
    const found = check({ [file]: text });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });
});
