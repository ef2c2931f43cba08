/** The model's test again, on the threads engine: an engine is chosen once in a process. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('agrees with the model on the threads engine', async () => {
  const top = fileURLToPath(new URL('../../..', import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      'native',
      'test/native/dmio/model.test.ts',
      '--reporter=json',
    ],
    { cwd: top, env: { ...process.env, DMIOFS_TEST_ENGINE: 'threads' }, timeout: 55_000 },
  );
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
    numPassedTests: number;
    numFailedTests: number;
  };
  expect(report).toMatchObject({ numPassedTests: 2, numFailedTests: 0 });
});
