// What a resync costs, by the real command line: a full one against a plain direct copy of the leg, and one of 1 % against the full one.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run as runProgram } from '../processes.mjs';
import { table } from '../report/tables.mjs';
import { median } from '../stats.mjs';
import { DMIOFS, mountSets } from '../targets/dmiofs.mjs';
import { goal, legsAt, ratioText } from './interleave.mjs';

const MIB = 1024 * 1024;
const SYNC_REGION = 512 * 1024;

const dmiofs = (...args) => runProgram(DMIOFS, args);
const dd = (...args) => runProgram('dd', [...args, 'conv=notrunc', 'status=none']);

/** The daemon's own times: a command takes a quarter of a second to start. */
function resyncSeconds(state) {
  const log = readdirSync(state)
    .filter((name) => name.endsWith('.daemon.log'))
    .flatMap((name) => readFileSync(join(state, name), 'utf8').trim().split('\n'))
    .map((line) => JSON.parse(line));
  const time = (message) => Date.parse(log.findLast(({ msg }) => msg === message).time);
  return (time('resync-finished') - time('resync-started')) / 1000;
}

/** Seconds until leg 1, failed and taken back with some of the set's sync regions written to meanwhile, is in sync again. */
async function resync(mount, write) {
  const file = join(mount.mountpoint, 'data');
  await dmiofs('umount', mount.mountpoint); // everything clean
  await dmiofs('mount', mount.config, mount.mountpoint);
  await dmiofs('fail', file, '1');
  await write(file);
  await dmiofs('re-add', file, '1');
  await dmiofs('wait', file);
  return resyncSeconds(join(mount.folder, 'state'));
}

async function run({ places, options, say }) {
  const place = places[0];
  const bytes = Math.floor(place.bytes / SYNC_REGION) * SYNC_REGION;
  const mebibytes = String(Math.floor(bytes / MIB));
  const regions = bytes / SYNC_REGION;
  const few = Math.max(1, Math.round(regions / 100));
  const legs = await place.legs('resync', 2);
  const copy = place.path('resync-copy.img');
  const mount = await mountSets(place, 'resync', {
    sets: { data: { regions: legs.map(({ path }) => ({ device: path })) } },
  });
  await dmiofs('speed', join(mount.mountpoint, 'data'), '--min', '10GiB', '--max', '0');
  const all = (file) => dd('if=/dev/zero', `of=${file}`, 'bs=1M', `count=${mebibytes}`, 'oflag=direct');
  const some = async (file) => {
    for (let at = 0; at < few; at++) {
      const block = Math.floor((at * regions) / few) * (SYNC_REGION / 4096);
      await dd('if=/dev/urandom', `of=${file}`, 'bs=4096', 'count=1', `seek=${block}`, 'oflag=direct');
    }
  };
  const plain = async () => {
    const from = performance.now();
    await dd(`if=${legs[0].path}`, `of=${copy}`, 'bs=1M', 'iflag=direct', 'oflag=direct');
    return (performance.now() - from) / 1000;
  };
  try {
    await plain(); // the copy's file is allocated before it is timed
    const samples = { full: [], plain: [], part: [] };
    for (let round = 0; round < options.rounds; round++) {
      samples.full.push(await resync(mount, all));
      samples.plain.push(await plain());
      samples.part.push(await resync(mount, some));
    }
    say(
      `full ${median(samples.full)} s, plain copy ${median(samples.plain)} s, ${few} of ${regions} ${median(samples.part)} s`,
    );
    return { place: place.name, bytes, regions, few, ...samples };
  } finally {
    await mount.stop();
    for (const { remove } of legs) await remove();
    rmSync(copy, { force: true });
  }
}

function report({ place, bytes, regions, few, full, plain, part }) {
  const seconds = (values) => `${median(values).toPrecision(3)} s`;
  return [
    '### Resync',
    `A set of ${bytes / MIB} MiB ${legsAt(place)}, sync regions of 512 KiB, no other load.`,
    table(
      ['what', 'figure', 'wanted'],
      [
        ['full resync', `${seconds(full)}, ${Math.round(bytes / MIB / median(full))} MiB/s`, ''],
        ['plain direct copy of a leg (`dd`, 1 MiB)', seconds(plain), ''],
        ['speed against the plain copy', ratioText(plain, full), '0.8'],
        [`resync with ${few} of ${regions} sync regions dirty`, seconds(part), ''],
        ['its time against the full one', ratioText(part, full), 'well under 0.1'],
      ],
    ),
  ].join('\n\n');
}

function goals({ full, plain, part }) {
  return [
    ...goal('A full resync at 0.8 of the speed of a plain copy', plain, full, 0.8),
    ...goal('A resync of 1 % takes under 0.1 of the full one', part, full, 0.1, true),
  ];
}

export const RESYNC = {
  name: 'resync',
  what: 'a full resync against a plain copy, and one of 1 % of the sync regions against the full one',
  samples: 12,
  report,
  goals,
  run,
};
