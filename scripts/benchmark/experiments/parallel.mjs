// What parallel I/O and large requests gain on legs that answer in 100 us: with the session shim, and with libfuse's own session.
import { table } from '../report/tables.mjs';
import { serveSets } from '../targets/dmiofs.mjs';
import { cellNamed, goal, interleave, per, ratioText } from './interleave.mjs';

const DELAY_US = 100;
const SESSIONS = [
  { name: 'shim', env: {} },
  { name: 'stock', env: { DMIOFS_SESSION: 'stock' } },
];
const LOADS = [
  'randwrite-4k-direct-j1',
  'randwrite-4k-direct-j4',
  'randwrite-4k-direct-q16',
  'write-1m-direct-j1',
  'read-1m-direct-j1',
];

async function run({ places, options, say }) {
  const place = places[0];
  const servers = [];
  try {
    for (const { name, env } of SESSIONS)
      servers.push(await serveSets(place, `session-${name}`, { delayUs: DELAY_US, env }));
    const variants = LOADS.flatMap((load) => servers.map((server) => ({ ...server, cell: cellNamed(load) })));
    const samples = await interleave(variants, { ...options, bytes: place.bytes });
    const loads = LOADS.map((cell, at) => ({
      cell,
      shim: samples[at * SESSIONS.length],
      stock: samples[at * SESSIONS.length + 1],
    }));
    for (const { cell, shim, stock } of loads) say(`${cell}: shim ${per(shim)}/s, stock ${per(stock)}/s`);
    return { delayUs: DELAY_US, loads };
  } finally {
    for (const { stop } of servers) await stop();
  }
}

function report({ delayUs, loads }) {
  return [
    '### Parallel and large I/O',
    `Legs that answer in ${delayUs} us, direct; \`stock\` is libfuse's own session (\`DMIOFS_SESSION=stock\`), which has one write of a file in flight and requests of 128 KiB.`,
    table(
      ['cell', 'shim, 1/s', 'stock, 1/s', 'shim / stock'],
      loads.map(({ cell, shim, stock }) => [`\`${cell}\``, per(shim), per(stock), ratioText(shim, stock)]),
    ),
  ].join('\n\n');
}

function goals({ loads: [one, four, deep, large] }) {
  return [
    ...goal('16 random writes of 4 KiB in flight: 4 times one', deep.shim, one.shim, 4),
    ...goal('Four writers: 3 times one', four.shim, one.shim, 3),
    ...goal("A 1 MiB write: 3 times that through libfuse's own session", large.shim, large.stock, 3),
  ];
}

export const PARALLEL = {
  name: 'parallel',
  what: 'depth, writers and 1 MiB requests on legs that answer in 100 us; with the session shim and without',
  samples: LOADS.length * SESSIONS.length,
  report,
  goals,
  run,
};
