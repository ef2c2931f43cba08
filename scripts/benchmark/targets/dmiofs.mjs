// dmiofs: by its own command line; with the null or the fault engine, which no config can ask for, by serve.mjs.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureWithFio } from '../fio.mjs';
import { unmount } from '../mounts.mjs';
import { run, serve } from '../processes.mjs';
import { onEnd } from '../undo.mjs';

export const DMIOFS = fileURLToPath(new URL('../../../bin/dmiofs', import.meta.url));
const SERVE = fileURLToPath(new URL('../serve.mjs', import.meta.url));
const SECTOR = 512;

/** Mounts a config by the command line; `sets` as in the config file. Legs that lie there are taken as equal. */
export async function mountSets(place, name, { sets, engine = 'auto', mountOptions = [], env = {} }) {
  const folder = place.path(name);
  const mountpoint = join(folder, 'mnt');
  mkdirSync(mountpoint, { recursive: true });
  const config = join(folder, 'config.yaml');
  // JSON is YAML too.
  writeFileSync(config, JSON.stringify({ version: 1, state_dir: './state', engine, sets }));
  const options = { env: { DMIOFS_TEST_TMP: place.folder, ...env } };
  await run(DMIOFS, ['init', config, '--assume-clean'], options);
  const begin = performance.now();
  await run(DMIOFS, ['mount', config, mountpoint, ...mountOptions], options);
  const mountSeconds = (performance.now() - begin) / 1000;
  const stop = onEnd(async () => {
    const from = performance.now();
    await run(DMIOFS, ['umount', mountpoint], { timeout: 30_000 }).catch(() => unmount(mountpoint));
    return (performance.now() - from) / 1000;
  });
  const [status] = JSON.parse(
    await run(DMIOFS, ['status', '--json', mountpoint]).catch((error) => {
      throw new Error(`the set is not complete: ${error.message}`);
    }),
  );
  return { folder, mountpoint, config, pid: status.pid, mountSeconds, stop, status };
}

async function startMounted(place, name, set, engine) {
  const legs = await place.legs(name, 2);
  const regions = legs.map(({ path }) => ({ device: path }));
  const mount = await mountSets(place, name, { sets: { data: { regions, ...set } }, engine });
  const file = join(mount.mountpoint, 'data');
  return {
    pids: [mount.pid],
    measure: (cell, options) => measureWithFio(cell, file, options, [mount.pid]),
    stop: async () => {
      await mount.stop();
      for (const { remove } of legs) await remove();
    },
  };
}

/** Sets on legs without content, whose engine is null: with `delayUs`, one that answers after so long. */
export async function serveSets(place, name, { sets = 1, legs = 2, delayUs = 0, cache = 'auto', env = {} }) {
  const mountpoint = place.path(`${name}-mnt`);
  mkdirSync(mountpoint);
  const made = [];
  for (let index = 0; index < sets; index++)
    made.push(await place.legs(`${name}-${index}`, legs, { sparse: true }));
  const options = {
    mountpoint,
    delayUs,
    sets: made.map((paths, index) => ({
      name: `set${index}`,
      count: place.bytes / SECTOR,
      legs: paths.map(({ path }) => path),
      cache,
    })),
  };
  const server = await serve(process.execPath, [SERVE, JSON.stringify(options)], {
    env: { DMIOFS_TEST_TMP: place.folder, UV_THREADPOOL_SIZE: '16', ...env },
  });
  const stop = onEnd(async () => {
    await server.stop(() => unmount(mountpoint));
    for (const { remove } of made.flat()) await remove();
  });
  return { mountpoint, file: join(mountpoint, `set${sets - 1}`), pid: server.pid, stop };
}

async function startNull(place) {
  const served = await serveSets(place, 'dmiofs-null', {});
  return {
    pids: [served.pid],
    measure: (cell, options) => measureWithFio(cell, served.file, options, [served.pid]),
    stop: served.stop,
  };
}

const mounted = (name, label, what, set = {}, engine = 'auto') => ({
  name,
  label,
  what,
  start: (place) => startMounted(place, name, set, engine),
});

export const OURS = [
  mounted('dmiofs', 'dmiofs', 'dmiofs as it comes: engine and cache `auto`'),
  mounted('dmiofs-writeback', 'dmiofs, cache: writeback', 'the same with `cache: writeback`', {
    cache: 'writeback',
  }),
  mounted('dmiofs-none', 'dmiofs, cache: none', 'the same with `cache: none`', { cache: 'none' }),
  mounted('dmiofs-threads', 'dmiofs, threads', 'the same with the threads engine', {}, 'threads'),
  {
    name: 'dmiofs-null',
    label: 'dmiofs, no I/O',
    what: 'dmiofs with the null engine, no log: all that is above the devices',
    start: startNull,
  },
];
