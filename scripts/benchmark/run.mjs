// The run over cells: targets side by side, rounds interleaved, so that what slows the machine for a while slows all of them.
import { supports } from './targets/index.mjs';
import { memoryOf } from './processes.mjs';
import { median, spread } from './stats.mjs';
import { isEnding } from './undo.mjs';

const rounded = (value, digits = 1) => (value === undefined ? undefined : Number(value.toFixed(digits)));

/** 9 digits are no knowledge. */
const sample = (value) => (value === null ? null : Number(value.toPrecision(5)));

function entryOf(place, cell, target, samples, error) {
  const pick = (field) => rounded(median(samples.map((one) => one?.[field])), 2);
  return {
    place: place.name,
    cell: cell.name,
    target: target.name,
    iops: samples.map((one) => sample(one?.iops ?? null)),
    p50: pick('p50'),
    p99: pick('p99'),
    cpu: pick('cpu'),
    serverCpu: pick('serverCpu'),
    ...(error === undefined ? {} : { error }),
  };
}

/** The targets that could be started; those that could not are told once and left out. */
async function startTargets(place, targets, progress) {
  const running = [];
  for (const target of targets) {
    progress.at(`${place.name}: starting ${target.name}`);
    try {
      running.push({ target, ...(await target.start(place)) });
    } catch (error) {
      if (isEnding()) throw error;
      progress.line(`${place.name} ${target.name}: left out: ${error.message}`);
    }
  }
  return running;
}

/** What a person wants to see of a cell at once. */
function summary(place, cell, entries) {
  const shown = entries.map((entry) => {
    const found = spread(entry.iops);
    if (found === undefined) return `${entry.target} FAILED`;
    const part = Math.round(((found.max - found.min) / found.median / 2) * 100);
    return `${entry.target} ${Math.round(found.median)}/s ±${part}%`;
  });
  return `${place.name} ${cell.name}: ${shown.join(', ')}`;
}

async function measureCell(place, cell, running, options, progress) {
  const taking = running.filter(({ target }) => supports(target, cell));
  const samples = new Map(taking.map(({ target }) => [target, []]));
  const errors = new Map();
  for (let round = 0; round < options.rounds; round++) {
    // Another order in each round: none always comes after the same other one.
    const order = taking.map((_one, at) => taking[(at + round) % taking.length]);
    for (const { target, measure } of order) {
      progress.at(`${place.name} ${cell.name} ${target.name}`);
      let measured = null;
      try {
        // What failed once is asked no more: it may take its timeout each time.
        if (!errors.has(target)) measured = await measure(cell, options);
      } catch (error) {
        if (isEnding()) throw error;
        errors.set(target, error.message);
        progress.line(`${place.name} ${cell.name} ${target.name}: ${error.message}`);
      }
      samples.get(target).push(measured);
      progress.step();
    }
  }
  const entries = taking.map(({ target }) =>
    entryOf(place, cell, target, samples.get(target), errors.get(target)),
  );
  if (entries.length > 0) progress.line(summary(place, cell, entries));
  return entries;
}

/** How many samples that makes: for the progress, and to say beforehand how long it takes. */
export function sampleCount(places, cells, targets, rounds) {
  const pairs = cells.flatMap((cell) => targets.filter((target) => supports(target, cell)));
  return places.length * pairs.length * rounds;
}

/** All cells at a place: entries of the results, and each server's memory after them. */
export async function measurePlace(place, cells, targets, options, progress) {
  const wanted = targets.filter((target) => cells.some((cell) => supports(target, cell)));
  const running = await startTargets(place, wanted, progress);
  const entries = [];
  try {
    for (const cell of cells) entries.push(...(await measureCell(place, cell, running, options, progress)));
    const memory = running
      .filter(({ pids }) => pids.length > 0)
      .map(({ target, pids }) => ({ place: place.name, target: target.name, ...memoryOf(pids[0]) }));
    return { entries, memory };
  } finally {
    for (const { stop } of running.reverse()) await stop().catch((error) => progress.line(error.message));
  }
}
