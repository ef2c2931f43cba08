// The soak: writers that verify, readers, fsync and punched holes on a set of two legs, while legs fail, come back, are replaced, added, removed and
// compared. A line a round; memory and descriptors of the daemon are to stay flat. Run by scripts/soak.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const DMIOFS = fileURLToPath(new URL('../bin/dmiofs', import.meta.url));
const MIB = 1024 * 1024;
const BYTES = 64 * MIB;
/** Each load has a part of the file to itself. */
const PART = BYTES / 4;

const { values } = parseArgs({
  options: {
    hours: { type: 'string' },
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    seed: { type: 'string', default: '1' },
  },
});
const wanted =
  Number(values.hours ?? 0) * 3600 + Number(values.minutes ?? 0) * 60 + Number(values.seconds ?? 0);
const seconds = wanted > 0 ? wanted : 3600;

/** A small generator (mulberry32), so that a run can be repeated. */
let state = Number(values.seed) >>> 0;
function random(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % below;
}

const folder = mkdtempSync(join(values.dir, 'dmiofs-soak-'));
const mountpoint = join(folder, 'mnt');
const file = join(mountpoint, 'data');
const loads = [];
let trouble;

function run(program, args) {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 300_000, maxBuffer: 64 * MIB }, (error, stdout, stderr) => {
      resolve({
        code: error === null ? 0 : typeof error.code === 'number' ? error.code : 255,
        stdout,
        stderr,
      });
    });
  });
}
async function must(...args) {
  const { code, stdout, stderr } = await run(DMIOFS, args);
  if (code !== 0) throw new Error(`dmiofs ${args.join(' ')}: exit ${String(code)}: ${stderr}`);
  return stdout;
}
async function status() {
  const [mount] = JSON.parse((await run(DMIOFS, ['status', '--json', file])).stdout);
  return { pid: mount.pid, set: mount.sets[0] };
}
const image = (name) => {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, BYTES);
  return path;
};

function load(name, part, ...options) {
  const child = spawn(
    'fio',
    [
      `--name=${name}`,
      `--filename=${file}`,
      `--offset=${String(part * PART)}`,
      `--size=${String(PART)}`,
      '--time_based',
      `--runtime=${String(seconds + 600)}`,
      '--rate_iops=500',
      '--exitall_on_error=1',
      ...options,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (said = (said + chunk).slice(-2000)));
  child.on('exit', (code) => {
    if (code !== 0 && trouble === undefined) trouble = `the load ${name} ended with ${String(code)}: ${said}`;
  });
  loads.push(child);
}

/** One thing that happens to the legs, and what makes the set whole again. */
async function event(round) {
  const { set } = await status();
  const leg = String(random(set.legs.length));
  switch (random(6)) {
    case 0:
      await must('fail', file, leg);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await must('re-add', file, leg);
      await must('wait', file);
      return `fail ${leg}, re-add`;
    case 1: {
      await must('replace', file, leg, image(`replaced-${String(round)}.img`));
      await must('wait', file);
      return `replace ${leg}`;
    }
    case 2:
      await must('add', file, image(`added-${String(round)}.img`));
      await must('wait', file);
      await must('remove', file, '0');
      return 'add, remove 0';
    case 3: {
      const { code, stdout, stderr } = await run(DMIOFS, ['scrub', file]);
      if (code !== 0) throw new Error(`scrub: exit ${String(code)}: ${stdout}${stderr}`);
      return 'scrub';
    }
    case 4: {
      const { code, stderr } = await run('fallocate', [
        '--punch-hole',
        '-o',
        String(3 * PART),
        '-l',
        String(PART),
        file,
      ]);
      if (code !== 0) throw new Error(`punch: ${stderr}`);
      return 'punch';
    }
    default:
      await must('fail', file, leg);
      await must('replace', file, leg, image(`failed-${String(round)}.img`));
      await must('wait', file);
      return `fail ${leg}, replace`;
  }
}

/** Images that are no leg any more. */
async function tidy() {
  const legs = (await status()).set.legs.map(({ device }) => device);
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.img') && !legs.includes(join(folder, name))) rmSync(join(folder, name));
  }
}

function usage(pid) {
  const rss =
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  return { rss, fds: readdirSync(`/proc/${String(pid)}/fd`).length };
}

async function soak() {
  writeFileSync(
    join(folder, 'config.yaml'),
    `version: 1\nstate_dir: state\nsets:\n  data:\n    regions:\n      - device: a.img\n      - device: b.img\n    size: ${String(BYTES)}\n    log: {region_size: 64KiB}\n    io_timeout: 5s\n`,
  );
  await run('mkdir', ['-p', mountpoint]);
  await must('init', join(folder, 'config.yaml'));
  await must('mount', join(folder, 'config.yaml'), mountpoint);
  // Copies and comparisons do not give way: more happens in an hour.
  await must('speed', file, '--min', '64MiB');
  load(
    'direct',
    0,
    '--rw=randwrite',
    '--bs=4k',
    '--direct=1',
    '--verify=crc32c',
    '--verify_state_save=0',
    '--verify_backlog=64',
    '--verify_fatal=1',
  );
  load(
    'large',
    1,
    '--rw=randwrite',
    '--bsrange=64k-1m',
    '--direct=1',
    '--rate_iops=20',
    '--verify=crc32c',
    '--verify_state_save=0',
    '--verify_backlog=8',
    '--verify_fatal=1',
  );
  load('buffered', 2, '--rw=randrw', '--bs=8k', '--fsync=16');
  const { pid } = await status();
  const end = Date.now() + seconds * 1000;
  let first;
  let last = usage(pid);
  for (let round = 0; Date.now() < end && trouble === undefined; round++) {
    const what = await event(round);
    await tidy();
    last = usage(pid);
    // What is touched once, and caches, fill up in the first rounds.
    if (round === Math.min(20, Math.floor(seconds / 10))) first = last;
    console.log(
      `${new Date().toISOString()} round ${String(round)}: ${what}; ${last.rss.toFixed(0)} MiB, ${String(last.fds)} descriptors`,
    );
  }
  for (const child of loads) {
    child.removeAllListeners('exit');
    child.kill('SIGINT');
    await new Promise((resolve) => child.once('close', resolve));
  }
  if (trouble !== undefined) throw new Error(trouble);
  const { set } = await status();
  await must('umount', mountpoint);
  const [one, ...others] = set.legs.map(({ device }) => readFileSync(device));
  if (!others.every((other) => other.equals(one))) throw new Error('the legs differ');
  if (first !== undefined && last.rss > first.rss * 1.25 + 16)
    throw new Error(`memory grows: ${first.rss.toFixed(0)} to ${last.rss.toFixed(0)} MiB`);
  if (first !== undefined && last.fds > first.fds + 20)
    throw new Error(`descriptors grow: ${String(first.fds)} to ${String(last.fds)}`);
  console.log('soak: the legs are equal, memory and descriptors are flat');
}

async function cleanup() {
  for (const child of loads) child.kill('SIGKILL');
  await run('umount', ['-l', mountpoint]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    void cleanup().then(() => process.exit(130));
  });
}
try {
  await soak();
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await cleanup();
}
