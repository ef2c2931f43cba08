/** The native fuzz targets, for a few seconds each; `scripts/fuzz --seconds 3600` for as long as one likes. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { run } from '../helpers/mounted.js';

const available =
  (await run('bash', ['-c', 'command -v clang++-19'])).code === 0 &&
  existsSync('/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-x86_64.a');
const script = new URL('../../scripts/fuzz', import.meta.url).pathname;

describe.skipIf(!available)('hostile input', () => {
  it('finds no crash, no undefined behaviour and no wrong answer', { timeout: 15 * 60_000 }, async () => {
    const ran = await run(script, ['--seconds', '5'], { timeout: 14 * 60_000 });
    expect(`${ran.stdout}${ran.stderr}`.slice(-4000)).not.toMatch(/ERROR|SUMMARY|runtime error/);
    expect(ran.code).toBe(0);
  });

  it('of an unknown target is refused', async () => {
    expect((await run(script, ['nothing'])).code).toBe(2);
  });
});
