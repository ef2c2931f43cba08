// fio as the load: one cell on one file.
import { cpuSeconds, run } from './processes.mjs';

const GIB = 1024 ** 3;

/** fio's arguments. `bytes`: size of the file, or of the part of it that is used. */
export function fioArguments(cell, file, { seconds, bytes }) {
  const share = Math.floor(bytes / cell.jobs / cell.block) * cell.block;
  const args = [
    '--name=cell',
    `--filename=${file}`,
    `--rw=${cell.rw}`,
    `--bs=${cell.block}`,
    `--direct=${cell.direct ? 1 : 0}`,
    `--numjobs=${cell.jobs}`,
    ...(cell.depth > 1 ? ['--ioengine=libaio', `--iodepth=${cell.depth}`] : ['--ioengine=psync']),
    // Sequential jobs have a part of the file each; random ones all of it.
    ...(cell.random || cell.jobs === 1
      ? [`--size=${bytes}`]
      : [`--size=${share}`, `--offset_increment=${share}`]),
    `--runtime=${Math.round(seconds * 1000)}ms`,
    '--thread',
    '--group_reporting',
    '--allow_file_create=0',
    '--eta=never',
    '--output-format=json',
  ];
  if (cell.operation === 'mixed') args.push('--rwmixread=70');
  if (cell.random) args.push('--norandommap', '--randrepeat=0');
  if (cell.fsyncEach > 0) args.push(`--fsync=${cell.fsyncEach}`);
  else if (!cell.direct && cell.writes) args.push('--end_fsync=1');
  // A direct cell goes round for as long as it may; a buffered one goes once: what it read before is in the page cache.
  if (cell.direct || cell.fsyncEach > 0) args.push('--time_based');
  else args.push(`--io_size=${Math.floor(cell.byteLimit / cell.jobs / cell.block) * cell.block}`);
  return args;
}

/**
 * Seconds of load before a sample. The first write to each sync region waits for the log, one that ends seconds later finds it dirty: with a
 * short sample of small random writes, all over the file, the first would be most of what is measured.
 */
const WARM_UP_SECONDS = 0.4;
const needsWarmUp = (cell) =>
  cell.random && cell.writes && cell.block === 4096 && (cell.direct || cell.fsyncEach > 0);

/** One sample: transfers a second, bytes a second, latency in microseconds, CPU seconds a GiB (of the server, and of all). */
export async function measureWithFio(cell, file, options, pids) {
  const timeout = options.seconds * 1000 + 90_000;
  if (needsWarmUp(cell))
    await run('fio', fioArguments(cell, file, { ...options, seconds: WARM_UP_SECONDS }), { timeout });
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = cpu();
  const stdout = await run('fio', fioArguments(cell, file, options), { timeout });
  const server = cpu() - before;
  const job = JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs[0];
  if (job.error !== 0) throw new Error(`fio: error ${job.error}`);
  const sides = [job.read, job.write].filter(({ total_ios: count }) => count > 0);
  if (sides.length === 0) throw new Error('fio: no transfer ended');
  const runtime = Math.max(...sides.map((side) => side.runtime)) / 1000;
  const moved = sides.reduce((sum, side) => sum + side.io_bytes, 0);
  const total = sides.reduce((sum, side) => sum + side.total_ios, 0);
  const load = ((job.usr_cpu + job.sys_cpu) / 100) * runtime * cell.jobs;
  // Where each write has its fsync, the fsync's time is what is waited for.
  const weigh = cell.fsyncEach > 0 ? [{ total_ios: 1, clat_ns: job.sync.lat_ns }] : sides;
  const count = weigh.reduce((sum, side) => sum + side.total_ios, 0);
  const latency = (percentile) =>
    weigh.reduce((sum, side) => sum + (side.clat_ns.percentile?.[percentile] ?? 0) * side.total_ios, 0) /
    count /
    1000;
  return {
    iops: total / runtime,
    bytes: moved / runtime,
    p50: latency('50.000000'),
    p99: latency('99.000000'),
    serverCpu: server / (moved / GIB),
    cpu: (server + load) / (moved / GIB),
  };
}
