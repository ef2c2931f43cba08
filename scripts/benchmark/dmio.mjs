// The dm-io API from JavaScript against fio's io_uring engine on the same two files, interleaved: medians of N rounds, and the ratio.
//
//   node scripts/benchmark/dmio.mjs [FOLDER] [ROUNDS] [SECONDS]
//
// A unit is one request to both files at 32 in flight; fio writes to both at depth 32 each, and its unit is the slower file's rate.
import { execFileSync } from 'node:child_process';
import { ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockDevice, configureDmIo, dmIoAsyncVm, dmIoGet, WRITE } from 'dmiofs/dmio';

const [folder = tmpdir(), roundsText = '5', secondsText = '3'] = process.argv.slice(2);
const [rounds, seconds] = [Number(roundsText), Number(secondsText)];
const FILE_BYTES = 256 * 1024 * 1024;
const DEPTH = 32;

const dir = mkdtempSync(join(folder, 'bench-dmio-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
const files = ['a', 'b'].map((name) => {
  const path = join(dir, name);
  const fd = openSync(path, 'w');
  ftruncateSync(fd, FILE_BYTES);
  const block = Buffer.alloc(1024 * 1024, 1);
  for (let at = 0; at < FILE_BYTES; at += block.length) writeSync(fd, block, 0, block.length, at); // allocated: both sides overwrite
  return path;
});
execFileSync('sync', [dir]);

const { engine } = configureDmIo({ engine: 'auto' });
dmIoGet(DEPTH * 2);

async function ours(bytes) {
  const devices = await Promise.all(files.map((path) => BlockDevice.open(path, { writable: true })));
  const sectors = bytes / 512;
  const slots = FILE_BYTES / bytes;
  const data = Buffer.alloc(bytes + 4096, 2);
  const aligned = data.subarray(0, bytes);
  let done = 0;
  let stop = false;
  let inFlight = 0;
  const start = performance.now();
  await new Promise((resolve, reject) => {
    const next = () => {
      const sector = Math.floor(Math.random() * slots) * sectors;
      inFlight++;
      dmIoAsyncVm(
        devices.map((bdev) => ({ bdev, sector, count: sectors })),
        WRITE,
        aligned,
        (error) => {
          inFlight--;
          if (error !== 0n) reject(new Error(`error bits ${error}`));
          done++;
          if (performance.now() - start >= seconds * 1000) stop = true;
          if (!stop) next();
          else if (inFlight === 0) resolve();
        },
        null,
      );
    };
    for (let i = 0; i < DEPTH; i++) next();
  });
  const rate = (done * 1000) / (performance.now() - start);
  await Promise.all(devices.map((bdev) => bdev.close()));
  return rate;
}

function fio(bytes) {
  const common = [
    '--rw=randwrite',
    `--bs=${bytes}`,
    '--ioengine=io_uring',
    `--iodepth=${DEPTH}`,
    '--direct=1',
    '--time_based',
    `--runtime=${seconds}`,
    `--size=${FILE_BYTES}`,
  ];
  const jobs = files.flatMap((path, index) => [`--name=f${index}`, `--filename=${path}`, ...common]);
  const { jobs: results } = JSON.parse(
    execFileSync('fio', ['--output-format=json', ...jobs], { encoding: 'utf8' }),
  );
  return Math.min(...results.map((job) => job.write.iops));
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const report = { engine, rounds, seconds, cells: {} };
for (const bytes of [4096, 1024 * 1024]) {
  const [a, b] = [[], []];
  for (let round = 0; round < rounds; round++) {
    a.push(await ours(bytes));
    b.push(fio(bytes));
  }
  const cell = {
    dmiofs: Math.round(median(a)),
    fio: Math.round(median(b)),
    ratio: Number(median(a.map((value, index) => value / b[index])).toFixed(2)),
  };
  report.cells[bytes] = cell;
  console.log(`${bytes} bytes: dmiofs ${cell.dmiofs}/s, fio ${cell.fio}/s, ratio ${cell.ratio}`);
}
console.log(JSON.stringify(report));
