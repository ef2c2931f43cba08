// What other sets of the same mount cost: 1, 10 and 100 sets, the load on one of them; and how long such a mount takes.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { memoryOf } from '../processes.mjs';
import { table } from '../report/tables.mjs';
import { mountSets } from '../targets/dmiofs.mjs';
import { cellNamed, goal, interleave, per, legsAt, ratioText } from './interleave.mjs';

const COUNTS = [1, 10, 100];
const MIB = 1024 * 1024;
const BYTES = 16 * MIB;
const CELL_NAMES = ['randwrite-4k-direct-j1', 'randread-4k-direct-j1'];

/** `count` sets of two small images each, which init makes. */
async function mountMany(place, count) {
  const sets = {};
  for (let index = 0; index < count; index++) {
    const regions = ['a', 'b'].map((leg) => ({ device: `./${index}${leg}.img` }));
    sets[`set${index}`] = { regions, size: BYTES };
  }
  const mount = await mountSets(place, `sets${count}`, { sets });
  return {
    ...mount,
    count,
    file: join(mount.mountpoint, `set${count - 1}`),
    memory: memoryOf(mount.pid),
  };
}

async function run({ places, options, say }) {
  const place = places.at(-1);
  const mounts = [];
  try {
    for (const count of COUNTS) mounts.push(await mountMany(place, count));
    const rates = [];
    for (const name of CELL_NAMES) {
      const variants = mounts.map((mount) => ({ ...mount, cell: cellNamed(name) }));
      rates.push({ cell: name, samples: await interleave(variants, { ...options, bytes: BYTES }) });
    }
    const mounted = mounts.map(({ count, mountSeconds, memory }) => ({ count, mountSeconds, memory }));
    for (const { count, mountSeconds } of mounted)
      say(`${count} sets: mounted in ${mountSeconds.toFixed(2)} s`);
    return { place: place.name, mounted, rates };
  } finally {
    for (const { stop, folder } of mounts) {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function report({ place, mounted, rates }) {
  return [
    '### Sets',
    `Sets of one mount, of 16 MiB each, ${legsAt(place)}; the load is on one of them. In brackets: the ratio to one set (wanted: at least 0.95).`,
    table(
      ['sets', 'mounted in', 'resident, MiB', ...rates.map(({ cell }) => `\`${cell}\``)],
      mounted.map(({ count, mountSeconds, memory }, at) => [
        String(count),
        `${mountSeconds.toFixed(2)} s`,
        (memory.resident / MIB).toFixed(0),
        ...rates.map(({ samples }) => `${per(samples[at])} (${ratioText(samples[at], samples[0])})`),
      ]),
    ),
  ].join('\n\n');
}

function goals({ rates }) {
  return rates.flatMap(({ cell, samples }) =>
    goal(`100 sets cost a set at most 5 % (\`${cell}\`)`, samples.at(-1), samples[0], 0.95),
  );
}

export const SETS = {
  name: 'sets',
  what: '1, 10 and 100 sets in a mount: speed of one of them, time to mount, memory',
  samples: COUNTS.length * CELL_NAMES.length,
  report,
  goals,
  run,
};
