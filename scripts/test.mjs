// Runs the steps of scripts/test one after another and sums up. Whatever happens, it ends, with the sum on the last line.
import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cleanup } from './cleanup.mjs';

const MINUTE = 60_000;
/** After this everything is stopped. */
const TOTAL = 72 * MINUTE;
const SLOWEST_SHOWN = 10;

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(top);

const folder = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-test-'));
// Each test's own folder is its own; a test that is another user for a moment must get through to it.
chmodSync(folder, 0o755);
const env = { ...process.env, CI: 'true', DMIOFS_TEST_TMP: folder, NO_COLOR: '1' };
delete env['FORCE_COLOR'];

const sums = [];
const durations = [];
const reasons = [];
let child;
let over = false;
const begun = Date.now();

/** Why tests that mount cannot run here; undefined when they can. */
function noMounts() {
  if (process.getuid?.() !== 0) return 'not root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return 'no /dev/fuse';
  }
  return undefined;
}

const vitest = (project, minutes, needsMounts) => ({
  name: project === 'native' ? 'binding' : project,
  minutes,
  project,
  skip: needsMounts ? noMounts() : undefined,
  command: [
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=./scripts/vitest-reporter.mjs',
  ],
});

const STOCK_TESTS = ['files', 'file-operations', 'fuse-basics', 'leg-failure', 'stacked'].map(
  (name) => `test/mount/${name}.test.ts`,
);

/** What users do with a file, once more without the session shim. */
function stockSession() {
  const step = vitest('mount', 10, true);
  return {
    ...step,
    name: 'stock',
    env: { DMIOFS_SESSION: 'stock' },
    command: [...step.command, ...STOCK_TESTS],
  };
}

// In the order they run: what breaks most, and is told soonest, first.
const STEPS = [
  { name: 'lint', minutes: 8, command: ['scripts/lint'] },
  { name: 'native', minutes: 10, command: ['scripts/native-test'] },
  vitest('unit', 8, false),
  vitest('native', 10, false),
  vitest('mount', 20, true),
  stockSession(),
  vitest('fault', 15, true),
  vitest('crash', 15, true),
  vitest('interop', 15, true),
  { name: 'asan', minutes: 15, command: ['scripts/native-test', '--sanitize=address'] },
  { name: 'tsan', minutes: 15, command: ['scripts/native-test', '--sanitize=thread'] },
];

function say(text) {
  console.log(text);
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** Runs a command in a process group of its own, its output passed on; resolves to its exit code, or why there is none. */
function run(command, minutes, extraEnv) {
  const [program, ...args] = command;
  return new Promise((resolve) => {
    let output = '';
    let stopped;
    child = spawn(program, args, {
      env: { ...env, ...extraEnv },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const { pid } = child;
    const pass = (chunk) => {
      output += chunk;
      process.stdout.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', pass);
    child.stderr.setEncoding('utf8').on('data', pass);
    const timer = setTimeout(() => {
      stopped = `not over after ${minutes} minutes`;
      killGroup(pid);
    }, minutes * MINUTE);
    let done = false;
    const end = (code, signal, error) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      killGroup(pid);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({
        code,
        output,
        problem: stopped ?? error?.message ?? (signal ? `ended by ${signal}` : undefined),
      });
    };
    child.on('error', (error) => end(undefined, undefined, error));
    // Not 'close': a process it left behind may hold its output open for ever.
    child.on('exit', (code, signal) => setTimeout(() => end(code, signal), 200));
  });
}

/** The sum a runner printed on its last line that has one. */
function printedSum(output) {
  const found = [...output.matchAll(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)].at(-1);
  if (found === undefined) return undefined;
  return { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3] ?? 0) };
}

function vitestSum(path, step) {
  if (!existsSync(path)) return undefined;
  const result = JSON.parse(readFileSync(path, 'utf8'));
  for (const { name, message } of result.failures)
    say(`FAIL ${step.name} ${name}: ${message.split('\n')[0]}`);
  for (const { name, reason } of result.skips) {
    reasons.push(`SKIP ${step.name} ${name}: ${reason || 'no reason given'}`);
  }
  durations.push(...result.durations);
  return { passed: result.passed, failed: result.failed, skipped: result.skips.length };
}

function hasTests(project) {
  const path = join('test', project);
  return (
    existsSync(path) &&
    readdirSync(path, { recursive: true }).some((name) => String(name).endsWith('.test.ts'))
  );
}

function countTests(project) {
  const listed = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'list', '--project', project, '--json'],
    { env, encoding: 'utf8', timeout: 2 * MINUTE, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  try {
    return JSON.parse(listed.stdout).length;
  } catch {
    return 1;
  }
}

async function runStep(step) {
  if (step.project !== undefined && !hasTests(step.project)) return undefined;
  say(`\n== ${step.name}`);
  if (step.skip !== undefined) {
    const skipped = countTests(step.project);
    reasons.push(`SKIP ${step.name}, all of it (${skipped}): ${step.skip}`);
    return { passed: 0, failed: 0, skipped };
  }
  const resultPath = join(folder, `${step.name}.json`);
  const { code, output, problem } = await run(step.command, step.minutes, {
    DMIOFS_VITEST_RESULT: resultPath,
    ...step.env,
  });
  for (const match of output.matchAll(/^ok {3}(\S+\.\S+) ([\d.]+) s$/gm)) {
    durations.push({ name: `${step.name} ${match[1]}`, ms: Number(match[2]) * 1000 });
  }
  for (const match of output.matchAll(/^SKIP (?:lint )?(.*)$/gm))
    reasons.push(`SKIP ${step.name} ${match[1]}`);
  const sum = (step.project === undefined ? printedSum(output) : vitestSum(resultPath, step)) ?? {
    passed: 0,
    failed: 0,
    skipped: 0,
  };
  const trouble = problem ?? (code === 0 ? undefined : `exit code ${code}`);
  if (trouble !== undefined && sum.failed === 0) {
    say(`FAIL ${step.name}: ${trouble}`);
    sum.failed += 1;
  }
  return sum;
}

function finish(exitProblem) {
  if (over) return;
  over = true;
  if (child?.pid !== undefined && child.exitCode === null) killGroup(child.pid);
  const left = cleanup(folder);
  say('');
  for (const what of left) say(`left behind by a test, and taken back: ${what}`);
  if (durations.length > 0) {
    say('slowest tests:');
    for (const { name, ms } of durations.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST_SHOWN)) {
      say(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}`);
    }
  }
  for (const reason of reasons) say(reason);
  const total = { passed: 0, failed: exitProblem === undefined ? 0 : 1, skipped: 0 };
  if (exitProblem !== undefined) say(`FAIL ${exitProblem}`);
  for (const { name, sum, seconds } of sums) {
    total.passed += sum.passed;
    total.failed += sum.failed;
    total.skipped += sum.skipped;
    const counts = `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`;
    say(`${name.padEnd(8)} ${counts}  (${seconds} s)`);
  }
  if (total.passed + total.failed === 0) {
    total.failed = 1;
    say('FAIL nothing ran');
  }
  say(`took ${Math.round((Date.now() - begun) / 1000)} s`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  const code = total.failed > 0 ? 1 : 0;
  process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`, () =>
    process.exit(code),
  );
}

const args = process.argv.slice(2);
const withSetup = !args.includes('--no-setup');
const wanted = args.filter((name) => name !== '--no-setup');
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));

setTimeout(() => finish(`everything: not over after ${TOTAL / MINUTE} minutes`), TOTAL).unref();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => finish(`ended by ${signal}`));
process.on('uncaughtException', (error) => finish(`scripts/test itself: ${error.stack}`));

if (unknown.length > 0) {
  finish(`no such step: ${unknown.join(', ')}. There are: ${STEPS.map((step) => step.name).join(', ')}`);
} else {
  const setup = withSetup ? await run(['scripts/setup', '--test'], 25) : { code: 0 };
  if (setup.code !== 0) {
    finish(`setup: ${setup.problem ?? `exit code ${setup.code}`}`);
  } else {
    for (const step of STEPS) {
      if (over || (wanted.length > 0 && !wanted.includes(step.name))) continue;
      const start = Date.now();
      const sum = await runStep(step);
      if (sum !== undefined)
        sums.push({ name: step.name, sum, seconds: Math.round((Date.now() - start) / 1000) });
    }
    finish();
  }
}
