// scripts/bench: measures, or compares, or makes the page.
import { existsSync } from 'node:fs';
import { CELLS } from './cells.mjs';
import { EXPERIMENTS } from './experiments/index.mjs';
import { compare, offenderTable } from './guard.mjs';
import { describeMachine, machine, versions } from './machine.mjs';
import { readOptions } from './options.mjs';
import { Place } from './place.mjs';
import { duration, Progress } from './progress.mjs';
import { report } from './report/page.mjs';
import { FORMAT, mergeResults, PUBLISHED, readResults, writeResults } from './results.mjs';
import { measurePlace, sampleCount } from './run.mjs';
import { TARGETS } from './targets/index.mjs';
import { isEnding, takeBack, takeBackOnSignals } from './undo.mjs';

/** Seconds that a sample takes beyond its own: fio's start and end. */
const PER_SAMPLE = 0.3;
/** Seconds to make and mount the legs of a target. */
const PER_TARGET = 2;
/** Seconds to mount what an experiment needs. */
const PER_EXPERIMENT = 10;

const say = (text) => process.stdout.write(`${text}\n`);

function estimate({ places, cells, targets, rounds, seconds, experiments }) {
  const samples = sampleCount(places, cells, targets, rounds);
  const extra = experiments.reduce(
    (sum, one) => sum + one.samples * rounds * (seconds + PER_SAMPLE) + PER_EXPERIMENT,
    0,
  );
  return (
    samples * (seconds + PER_SAMPLE) + (samples > 0 ? places.length * targets.length * PER_TARGET : 0) + extra
  );
}

function list(options) {
  const column = (things) => {
    const width = Math.max(...things.map(({ name }) => name.length));
    for (const { name, what } of things) say(`  ${name.padEnd(width)}  ${what}`);
  };
  say('Targets:');
  column(TARGETS);
  say('\nExperiments:');
  column(EXPERIMENTS);
  say(`\nCells:\n  ${CELLS.map(({ name }) => name).join('\n  ')}`);
  say(
    `\nChosen: ${options.cells.length} cells, ${options.targets.length} targets, ${options.rounds} rounds: about ${duration(estimate(options))}.`,
  );
}

async function measure(options) {
  const { places: placeNames, cells, targets, rounds, seconds, bytes, experiments } = options;
  const results = {
    format: FORMAT,
    date: new Date().toISOString(),
    machine: machine(),
    versions: await versions(),
    settings: { preset: options.preset, rounds, seconds, bytes },
    places: {},
    cells: [],
    experiments: {},
  };
  say(describeMachine(results.machine));
  say(
    Object.entries(results.versions)
      .map((pair) => pair.join(' '))
      .join(', '),
  );
  say(
    `${rounds} rounds of ${seconds} s, legs of ${bytes / 1024 ** 2} MiB: about ${duration(estimate(options))}\n`,
  );
  const needed = experiments.some((one) => one.place === 'memory') ? ['memory'] : [];
  const places = [
    ...new Set([...(cells.length > 0 || experiments.length > 0 ? placeNames : []), ...needed]),
  ].map((name) => new Place(name, options[name], bytes));
  const progress = new Progress(sampleCount(placeNames, cells, targets, rounds) + experiments.length);
  const memory = [];
  for (const place of places) {
    results.places[place.name] = place.kind;
    if (!placeNames.includes(place.name)) continue;
    const measured = await measurePlace(place, cells, targets, { rounds, seconds, bytes }, progress);
    results.cells.push(...measured.entries);
    memory.push(...measured.memory);
    writeResults(options.out, results);
  }
  if (memory.length > 0) results.experiments.memory = memory;
  for (const experiment of experiments) {
    progress.at(experiment.name);
    try {
      const context = { places, options, say: (text) => progress.line(`${experiment.name}: ${text}`) };
      results.experiments[experiment.name] = await experiment.run(context);
    } catch (error) {
      if (isEnding()) throw error;
      progress.line(`${experiment.name}: FAILED: ${error.message}`);
    }
    progress.step();
  }
  progress.stop();
  writeResults(options.out, results);
  say(`\nResults: ${options.out}`);
  return results;
}

/** Exit code 1 and a table when something has become slower. */
function guard(options, results) {
  const committed = readResults(options.against ?? PUBLISHED);
  const { offenders, compared } = compare(committed, results, options.margin);
  if (compared === 0) throw new Error('the guard: no ratio is in both results: nothing is compared');
  const margin = `${options.margin * 100}%`;
  if (offenders.length === 0) {
    say(`guard: ${compared} ratios, none worse than committed by more than ${margin}`);
    return 0;
  }
  say(`${offenderTable(offenders)}\n`);
  say(`guard: ${offenders.length} of ${compared} ratios are worse than committed by more than ${margin}`);
  return 1;
}

/** The committed results with these; of another machine, or other legs, these alone. */
function publish(results) {
  let old;
  if (existsSync(PUBLISHED)) old = readResults(PUBLISHED);
  const merged = mergeResults(old, results);
  writeResults(PUBLISHED, merged);
  report(merged);
}

async function main() {
  const options = await readOptions(process.argv.slice(2));
  if (options.list) return list(options);
  if (options.guard && options.results !== undefined) return guard(options, readResults(options.results));
  if (options.report) return report(readResults(options.results ?? PUBLISHED));
  takeBackOnSignals();
  const results = await measure(options);
  if (options.publish) publish(results);
  return options.guard ? guard(options, results) : 0;
}

try {
  process.exitCode = (await main()) ?? 0;
} catch (error) {
  // Ended by a signal: its handler says so, and ends the process.
  if (isEnding()) await new Promise(() => undefined);
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 2;
} finally {
  if (!isEnding()) await takeBack();
}
