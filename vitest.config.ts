import { defineConfig } from 'vitest/config';

const MINUTE = 60_000;

/** One folder of test/, one project: `npx vitest run --project mount`. */
interface Suite {
  readonly name: string;
  /** Milliseconds for one test. */
  readonly timeout: number;
  /** Its tests share the machine's mounts and loop devices: one file at a time. */
  readonly serial: boolean;
}

const SUITES: readonly Suite[] = [
  { name: 'unit', timeout: 20_000, serial: false },
  { name: 'native', timeout: MINUTE, serial: true },
  { name: 'mount', timeout: 2 * MINUTE, serial: true },
  { name: 'fault', timeout: 2 * MINUTE, serial: true },
  { name: 'crash', timeout: 3 * MINUTE, serial: true },
  { name: 'interop', timeout: 3 * MINUTE, serial: true },
];

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: SUITES.map((suite, order) => ({
      test: {
        name: suite.name,
        include: [`test/${suite.name}/**/*.test.ts`],
        // A process a file: the addon is loaded, and its engine chosen, once in a process.
        pool: 'forks' as const,
        fileParallelism: !suite.serial,
        // One project after the other, also when several are run together.
        sequence: { groupOrder: order },
        testTimeout: suite.timeout,
        hookTimeout: suite.timeout,
      },
    })),
  },
});
