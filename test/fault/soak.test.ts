/** The soak, for seconds; `scripts/soak --hours 8` for as long as one likes. */
import { describe, expect, it } from 'vitest';
import { canMount, run } from '../helpers/mounted.js';

const script = new URL('../../scripts/soak', import.meta.url).pathname;
const fio = (await run('fio', ['--version'])).code === 0;

describe.skipIf(!canMount || !fio)('a soak', () => {
  it('of some seconds finds equal legs', { timeout: 3 * 60_000 }, async () => {
    const ran = await run(script, ['--seconds', '12', '--dir', process.env['DMIOFS_TEST_TMP'] ?? '/tmp'], {
      timeout: 170_000,
    });
    expect(ran.stderr).toBe('');
    expect(ran.stdout).toContain('soak: the legs are equal');
    expect(ran.code).toBe(0);
  });
});
