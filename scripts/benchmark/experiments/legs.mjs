// What a leg more costs: legs that answer in 100 us and touch nothing (the fault engine's delay over the null engine).
import { linePlot } from '../report/line-plot.mjs';
import { table } from '../report/tables.mjs';
import { serveSets } from '../targets/dmiofs.mjs';
import { cellNamed, goal, interleave, per, point, ratioText } from './interleave.mjs';

const COUNTS = [1, 2, 4, 8, 16];
const DELAY_US = 100;
const CELL_NAMES = ['randwrite-4k-direct-j1', 'randwrite-128k-direct-j1', 'randread-4k-direct-j1'];
const COLOURS = ['dmiofs', 'peer', 'fuse-floor'];

async function run({ places, options, say }) {
  const place = places[0];
  const servers = [];
  try {
    for (const legs of COUNTS) {
      servers.push(await serveSets(place, `legs${legs}`, { legs, delayUs: DELAY_US }));
    }
    const series = [];
    for (const name of CELL_NAMES) {
      const variants = servers.map((server) => ({ ...server, cell: cellNamed(name) }));
      const samples = await interleave(variants, { ...options, bytes: place.bytes });
      series.push({ cell: name, samples });
      say(`${name}: ${COUNTS.map((legs, at) => `${legs} legs ${per(samples[at])}/s`).join(', ')}`);
    }
    return { delayUs: DELAY_US, counts: COUNTS, series };
  } finally {
    for (const { stop } of servers) await stop();
  }
}

const times = (samples) => samples.map((rate) => 1e6 / rate);

function report({ delayUs, counts, series }, plot) {
  plot(
    'legs',
    linePlot({
      title: 'A transfer to more legs',
      subtitle: `Time of one, one job, direct; each leg answers in ${delayUs} us.`,
      xLabel: 'legs',
      unit: ' us',
      series: series.map(({ cell, samples }, index) => ({
        target: COLOURS[index],
        label: cell.replace('-direct-j1', ''),
        points: counts.map((legs, at) => point(String(legs), times(samples[at]))),
      })),
    }),
  );
  const two = counts.indexOf(2);
  const rows = series.map(({ cell, samples }) => [
    `\`${cell}\``,
    // A ratio of times is that of the rates, the other way round.
    ...samples.map((values) => `${per(times(values))} us (${ratioText(samples[two], values)})`),
  ]);
  return [
    '### Legs',
    `Time of one transfer to legs that answer in ${delayUs} us each, and its ratio to the time with two legs (wanted: at most 1.3 with eight).`,
    '![Time of a transfer over the number of legs](benchmark/legs.svg)',
    table(['cell', ...counts.map((legs) => `${legs} ${legs === 1 ? 'leg' : 'legs'}`)], rows),
  ].join('\n\n');
}

function goals({ counts, series: [{ samples }] }) {
  const [two, eight] = [counts.indexOf(2), counts.indexOf(8)];
  return goal(
    'A 4 KiB write to 8 legs takes at most 1.3 times the time of one to 2',
    samples[two],
    samples[eight],
    1.3,
    true,
  );
}

export const LEGS = {
  name: 'legs',
  what: '4 KiB and 128 KiB to 1, 2, 4, 8 and 16 legs that answer in 100 us',
  samples: COUNTS.length * CELL_NAMES.length,
  report,
  goals,
  run,
};
