// What there is to beat: nothing at all (raw-floor), a file system that only passes on (fuse-floor, fuse-null), and one leg by itself.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '../build.mjs';
import { measureWithFio } from '../fio.mjs';
import { unmount } from '../mounts.mjs';
import { run, serve } from '../processes.mjs';
import { onEnd } from '../undo.mjs';

const GIB = 1024 ** 3;

async function startRawFloor(place) {
  const binary = await program('raw-floor');
  const legs = await place.legs('raw-floor', 2);
  return {
    pids: [],
    measure: async (cell, { seconds, bytes }) => {
      const paths = legs.map(({ path }) => path);
      const args = [...paths, cell.operation, cell.block, cell.jobs, seconds, bytes].map(String);
      const result = JSON.parse(await run(binary, args, { timeout: seconds * 1000 + 60_000 }));
      const moved = result.bytes * seconds;
      return { iops: result.iops, bytes: result.bytes, cpu: result.cpu / (moved / GIB) };
    },
    stop: async () => {
      for (const { remove } of legs) await remove();
    },
  };
}

async function startFuseFloor(place, name, isNull) {
  const binary = await program('fuse-floor');
  const legs = await place.legs(name, 2, { sparse: isNull });
  const mountpoint = place.path(`${name}-mnt`);
  mkdirSync(mountpoint);
  const args = [...legs.map(({ path }) => path), mountpoint, ...(isNull ? ['null'] : [])];
  const server = await serve(binary, args, { env: { DMIOFS_TEST_TMP: place.folder } });
  const stop = onEnd(async () => {
    await server.stop(() => unmount(mountpoint));
    for (const { remove } of legs) await remove();
  });
  const file = join(mountpoint, 'data');
  return {
    pids: [server.pid],
    measure: (cell, options) => measureWithFio(cell, file, options, [server.pid]),
    stop,
  };
}

async function startOneLeg(place) {
  const leg = await place.leg('one-leg.img');
  return {
    pids: [],
    measure: (cell, options) => measureWithFio(cell, leg.path, options, []),
    stop: leg.remove,
  };
}

export const FLOORS = [
  {
    name: 'raw-floor',
    label: 'raw floor',
    what: 'both legs written at once, one read, by a C program with nothing between (direct cells, one transfer in flight a job)',
    supports: (cell) => (cell.direct || cell.operation === 'fsync') && cell.depth === 1,
    start: startRawFloor,
  },
  {
    name: 'fuse-floor',
    label: 'FUSE floor',
    what: 'a bare mirror of two legs in C on libfuse3: no checks, no locks, no log, no failover',
    start: (place) => startFuseFloor(place, 'fuse-floor', false),
  },
  {
    name: 'fuse-null',
    label: 'FUSE floor, no I/O',
    what: 'the same, and no leg is touched',
    start: (place) => startFuseFloor(place, 'fuse-null', true),
  },
  {
    name: 'one-leg',
    label: 'one leg',
    what: 'fio straight on a leg: no mirror at all',
    start: startOneLeg,
  },
];
