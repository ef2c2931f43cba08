// What the size of a set costs: 1 GiB to 8 TiB on sparse images; the load goes to the same part of each.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { memoryOf, run as runProgram } from '../processes.mjs';
import { table } from '../report/tables.mjs';
import { mountSets } from '../targets/dmiofs.mjs';
import { cellNamed, interleave, per, legsAt, ratioText } from './interleave.mjs';

const MIB = 1024 * 1024;
const SIZES = ['1GiB', '64GiB', '1TiB', '8TiB'];
const USED = 64 * MIB;
const CELL_NAMES = ['randwrite-4k-direct-j1', 'randread-4k-direct-j1'];

/** The part that is used is written over first. */
const fill = (file) =>
  runProgram('dd', [
    'if=/dev/zero',
    `of=${file}`,
    'bs=1M',
    `count=${USED / MIB}`,
    'oflag=direct',
    'conv=notrunc',
  ]);

async function mountSized(place, size) {
  const name = `size-${size}`;
  const regions = ['a', 'b'].map((leg) => ({ device: `./${leg}.img` }));
  const mount = await mountSets(place, name, { sets: { data: { regions, size } } });
  const file = join(mount.mountpoint, 'data');
  await fill(file);
  return { ...mount, size, file };
}

async function run({ places, options, say }) {
  const place = places[0];
  const mounts = [];
  const unmounted = [];
  try {
    for (const size of SIZES) {
      try {
        mounts.push(await mountSized(place, size));
      } catch (error) {
        say(`${size}: left out: ${error.message}`);
      }
    }
    const rates = [];
    for (const name of CELL_NAMES) {
      const variants = mounts.map((mount) => ({ ...mount, cell: cellNamed(name) }));
      rates.push({ cell: name, samples: await interleave(variants, { ...options, bytes: USED }) });
    }
    const memory = mounts.map(({ pid }) => memoryOf(pid));
    for (const { stop } of mounts) unmounted.push(await stop());
    const points = mounts.map(({ size, mountSeconds }, at) => ({
      size,
      mountSeconds,
      unmountSeconds: unmounted[at],
      memory: memory[at],
    }));
    for (const { size, mountSeconds } of points) say(`${size}: mounted in ${mountSeconds.toFixed(2)} s`);
    return { place: place.name, points, rates };
  } finally {
    for (const { stop, folder } of mounts) {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function report({ place, points, rates }) {
  return [
    '### Size of a set',
    `Sparse images ${legsAt(place)}, sync regions of 512 KiB; the load goes to the first 64 MiB. In brackets: the ratio to the smallest.`,
    table(
      ['size', 'mounted in', 'unmounted in', 'resident, MiB', ...rates.map(({ cell }) => `\`${cell}\``)],
      points.map(({ size, mountSeconds, unmountSeconds, memory }, at) => [
        size,
        `${mountSeconds.toFixed(2)} s`,
        `${unmountSeconds.toFixed(2)} s`,
        (memory.resident / MIB).toFixed(0),
        ...rates.map(({ samples }) => `${per(samples[at])} (${ratioText(samples[at], samples[0])})`),
      ]),
    ),
  ].join('\n\n');
}

export const SIZE = {
  name: 'size',
  what: 'sets of 1 GiB to 8 TiB (sparse): time to mount and unmount, memory, speed',
  samples: SIZES.length * CELL_NAMES.length,
  report,
  run,
};
