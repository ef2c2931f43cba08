/**
 * How long `dmiofs status FILE` takes: idle, while a resync runs as fast as it can, and while a leg hangs with a writer that waits for it.
 *
 *     node scripts/benchmark/status.mjs [FOLDER] [TIMES]
 *
 * Beside it, `node -e 0`: what any program in Node takes here at that moment.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DMIOFS = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'dmiofs');
const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'dmiofs-status-'));
const times = Number(process.argv[3] ?? 20);

const dmiofs = (...args) => execFileSync(DMIOFS, args, { encoding: 'utf8' });

function took(program, ...args) {
  const start = performance.now();
  spawnSync(program, args, { stdio: 'ignore' });
  return performance.now() - start;
}

function report(what, milliseconds) {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (part) =>
    (sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] / 1000).toFixed(3);
  console.log(`${what.padEnd(44)} median ${at(0.5)} s, nine of ten ${at(0.9)} s, worst ${at(1)} s`);
}

function measure(what, file) {
  const [status, node] = [[], []];
  for (let round = 0; round < times; round++) {
    status.push(took(DMIOFS, 'status', file));
    node.push(took(process.execPath, '-e', '0'));
  }
  report(`status, ${what}`, status);
  report('  node -e 0 beside it', node);
}

const [config, mountpoint] = [join(folder, 'config.yaml'), join(folder, 'mnt')];
const file = join(mountpoint, 'data');
mkdirSync(mountpoint);
writeFileSync(
  config,
  'version: 1\nstate_dir: ./state\nsets: {data: {regions: [{device: ./a.img}, {device: ./b.img}], size: 2GiB, io_timeout: 0, log: {region_size: 64KiB}}}\n',
);
try {
  dmiofs('init', config);
  dmiofs('mount', config, mountpoint);
  measure('idle', file);

  dmiofs('fail', file, '1');
  execFileSync('dd', [
    'if=/dev/zero',
    `of=${file}`,
    'bs=1M',
    'count=2048',
    'conv=notrunc',
    'oflag=direct',
    'status=none',
  ]);
  dmiofs('speed', file, '--min', '40MiB', '--max', '120MiB');
  dmiofs('re-add', file, '1');
  measure('while a resync copies 40 to 120 MiB/s', file);
  dmiofs('speed', file, '--max', '0');
  dmiofs('wait', file);
  dmiofs('umount', mountpoint);

  dmiofs(
    'mount',
    '--fault-rules',
    JSON.stringify([{ action: 'hang', device: join(folder, 'b.img') }]),
    config,
    mountpoint,
  );
  const writer = spawn(
    'dd',
    ['if=/dev/zero', `of=${file}`, 'bs=64k', 'count=1', 'conv=notrunc', 'oflag=direct'],
    {
      stdio: 'ignore',
    },
  );
  while (JSON.parse(dmiofs('status', '--json', file))[0].sets[0].in_flight === 0);
  measure('while a leg hangs under a writer', file);
  writer.kill('SIGKILL');
} finally {
  // A leg that hangs holds the unmount up: the daemon is ended by its pid.
  const asked = spawnSync(DMIOFS, ['status', '--json', mountpoint], { encoding: 'utf8' });
  const [mount] = asked.stdout === '' ? [] : JSON.parse(asked.stdout);
  if (mount !== undefined) {
    process.kill(mount.pid, 'SIGKILL');
    spawnSync('umount', ['-l', mountpoint]);
  }
  rmSync(folder, { recursive: true, force: true });
}
