// What resync and the log cost, by the real command line on image files: interleaved rounds, medians, ratios.
//
//   node scripts/benchmark/resync.mjs [FOLDER] [ROUNDS]
//
// - a full resync of a 1 GiB set against a plain direct copy of the leg (dd, direct on both sides, 1 MiB)
// - a resync with 1 % of the sync regions dirty against the full one
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder = tmpdir(), roundsText = '5'] = process.argv.slice(2);
const rounds = Number(roundsText);
const MIB = 1024 * 1024;
const SIZE = 1024 * MIB;
const dmiofs = fileURLToPath(new URL('../../bin/dmiofs', import.meta.url));
const dir = mkdtempSync(join(folder, 'bench-resync-'));
const mountpoint = join(dir, 'mnt');
mkdirSync(mountpoint);
const file = join(mountpoint, 'data');
const run = (program, ...args) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const timed = (work) => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

process.on('exit', () => {
  try {
    run(dmiofs, 'umount', mountpoint);
  } catch {
    // Not mounted.
  }
  rmSync(dir, { recursive: true, force: true });
});

writeFileSync(
  join(dir, 'config.yaml'),
  JSON.stringify({
    version: 1,
    state_dir: './state',
    sets: { data: { regions: [{ device: './a.img' }, { device: './b.img' }], size: SIZE } },
  }),
);
run(dmiofs, 'init', join(dir, 'config.yaml'));
run(dmiofs, 'mount', join(dir, 'config.yaml'), mountpoint);
run('dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=1024', 'oflag=direct', 'conv=notrunc', 'status=none');
run(dmiofs, 'speed', file, '--min', '10GiB', '--max', '0');

/** Seconds until leg 1, failed and taken back with `dirty` of the set's sync regions changed, is in sync again. */
function resync(dirtyRegions) {
  run(dmiofs, 'umount', mountpoint); // everything clean
  run(dmiofs, 'mount', join(dir, 'config.yaml'), mountpoint);
  run(dmiofs, 'fail', file, '1');
  const step = Math.floor(2048 / dirtyRegions);
  for (let at = 0; at < dirtyRegions; at++) {
    run(
      'dd',
      'if=/dev/urandom',
      `of=${file}`,
      'bs=4096',
      'count=1',
      `seek=${at * step * 128}`,
      'oflag=direct',
      'conv=notrunc',
      'status=none',
    );
  }
  if (dirtyRegions === 2048)
    run(
      'dd',
      'if=/dev/zero',
      `of=${file}`,
      'bs=1M',
      'count=1024',
      'oflag=direct',
      'conv=notrunc',
      'status=none',
    );
  run(dmiofs, 're-add', file, '1');
  run(dmiofs, 'wait', file);
  // The times of the daemon's own log: a command takes a quarter of a second to start.
  const log = run('sh', '-c', `cat ${join(dir, 'state')}/*.daemon.log`)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const end = log.findLast(({ msg }) => msg === 'resync-finished');
  const begin = log.findLast(({ msg }) => msg === 'resync-started');
  return (Date.parse(end.time) - Date.parse(begin.time)) / 1000;
}

const copy = () =>
  timed(() =>
    run(
      'dd',
      `if=${join(dir, 'a.img')}`,
      `of=${join(dir, 'copy.img')}`,
      'bs=1M',
      'iflag=direct',
      'oflag=direct',
      'conv=notrunc',
      'status=none',
    ),
  );
copy(); // the copy's file is allocated before it is timed

const full = [];
const plain = [];
const part = [];
for (let round = 0; round < rounds; round++) {
  full.push(resync(2048));
  plain.push(copy());
  part.push(resync(20));
}
console.log(
  `full resync of 1 GiB: ${median(full).toFixed(2)} s; plain direct copy ${median(plain).toFixed(2)} s; speed ratio ${median(plain.map((value, at) => value / full[at])).toFixed(2)}`,
);
console.log(
  `resync with 20 of 2048 sync regions dirty: ${median(part).toFixed(3)} s; ratio to full ${median(part.map((value, at) => value / full[at])).toFixed(3)}`,
);
