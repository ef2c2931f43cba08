// What a leg more costs: 4 KiB transfers to 1, 2, 4, 8 and 16 legs that answer in 100 us, and touch nothing.
import { measureWithFio } from '../fio.mjs';
import { CELLS } from '../cells.mjs';
import { serveSets } from '../targets/dmiofs.mjs';

const COUNTS = [1, 2, 4, 8, 16];
const DELAY_US = 100;
const CELL_NAMES = ['randwrite-4k-direct-j1', 'randread-4k-direct-j1', 'randwrite-128k-direct-j1'];

async function run({ places, options, say }) {
  const place = places[0];
  const cells = CELLS.filter(({ name }) => CELL_NAMES.includes(name));
  const servers = [];
  try {
    for (const legs of COUNTS)
      servers.push({ legs, ...(await serveSets(place, `legs${legs}`, { legs, delayUs: DELAY_US })) });
    const points = [];
    for (const cell of cells) {
      const samples = servers.map(() => []);
      for (let round = 0; round < options.rounds; round++) {
        for (const [at, { file, pid }] of servers.entries()) {
          const { iops } = await measureWithFio(
            cell,
            file,
            { seconds: options.seconds, bytes: place.bytes },
            [pid],
          );
          samples[at].push(Math.round(iops));
        }
      }
      for (const [at, { legs }] of servers.entries())
        points.push({ cell: cell.name, legs, iops: samples[at] });
      say(
        `${cell.name}: ${servers.map(({ legs }, at) => `${legs} legs ${samples[at].join(' ')}`).join(', ')}`,
      );
    }
    return { delayUs: DELAY_US, points };
  } finally {
    for (const { stop } of servers) await stop();
  }
}

export const LEGS = {
  name: 'legs',
  what: '4 KiB and 128 KiB to 1, 2, 4, 8 and 16 legs that answer in 100 us',
  seconds: 60,
  run,
};
