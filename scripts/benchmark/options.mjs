// The command line of scripts/bench.
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { CELLS, PRESET_CELLS, select } from './cells.mjs';
import { EXPERIMENTS } from './experiments/index.mjs';
import { PLACES } from './place.mjs';
import { chooseTargets, PRESET_TARGETS } from './targets/index.mjs';

const MIB = 1024 * 1024;
const PRESETS = {
  quick: { rounds: 2, seconds: 0.5, mib: 256, places: ['disk'], experiments: [] },
  normal: { rounds: 3, seconds: 0.4, mib: 256, places: ['disk', 'memory'], experiments: [] },
  full: { rounds: 5, seconds: 1, mib: 512, places: ['disk', 'memory'], experiments: ['*'] },
};
const VAR = fileURLToPath(new URL('../../var', import.meta.url));

const list = (value) => (value === undefined ? undefined : String(value).split(',').filter(Boolean));

function parser(args) {
  const positive = (name) => (value) => {
    if (value === undefined || (Number.isFinite(value) && value > 0)) return value;
    throw new Error(`--${name} must be a number above 0`);
  };
  return yargs(args)
    .scriptName('scripts/bench')
    .usage(
      '$0 [OPTIONS]\n\nMeasures dmiofs beside a floor, a peer and a plain device, in interleaved rounds.',
    )
    .option('quick', { type: 'boolean', describe: 'A few cells: two minutes' })
    .option('full', { type: 'boolean', describe: 'Everything: hours' })
    .conflicts('quick', 'full')
    .option('cells', { type: 'string', describe: 'Cells by name, e.g. "*-4k-direct-*,fsync-*"; none: ""' })
    .option('targets', {
      type: 'string',
      describe: 'Targets by name, each for some cells or all, e.g. "fuse-floor,dmiofs*:*-buffered-*"',
    })
    .option('places', { type: 'string', describe: 'Where legs lie: disk,memory' })
    .option('experiments', { type: 'string', describe: 'Experiments by name, e.g. "legs,sets"' })
    .option('rounds', {
      type: 'number',
      describe: 'Samples of each target at each cell',
      coerce: positive('rounds'),
    })
    .option('seconds', { type: 'number', describe: 'Seconds of a sample', coerce: positive('seconds') })
    .option('size', { type: 'number', describe: 'MiB of each leg', coerce: positive('size') })
    .option('disk', { type: 'string', default: VAR, describe: 'Folder for the legs on disk' })
    .option('memory', {
      type: 'string',
      default: '/dev/shm',
      describe: 'Folder on a tmpfs for the legs in memory',
    })
    .option('out', { type: 'string', default: `${VAR}/bench-results.json`, describe: 'Where the results go' })
    .option('list', { type: 'boolean', describe: 'Lists cells, targets, experiments and how long they take' })
    .option('publish', {
      type: 'boolean',
      describe: 'Puts the results into docs/benchmark/results.json and makes the page anew',
    })
    .option('report', {
      type: 'boolean',
      describe: 'Only makes the page and its plots of the committed results',
    })
    .option('report', {
      type: 'boolean',
      describe: 'Only makes the page and its plots of the committed results',
    })
    .option('guard', {
      type: 'boolean',
      describe: 'Fails when a ratio to the floor or the peer is worse than in the committed results',
    })
    .option('margin', {
      type: 'string',
      default: '15%',
      describe: 'How much worse the guard lets a ratio be',
    })
    .option('against', { type: 'string', describe: "The guard's committed results" })
    .option('results', {
      type: 'string',
      describe: 'For the guard and the report: this file instead of a run',
    })
    .strict()
    .version(false)
    .fail((message, error) => {
      throw error ?? new Error(`${message}; see scripts/bench --help`);
    });
}

/** A fraction of a text such as `15%` or `0.15`. */
export function parseMargin(text) {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(String(text).trim()) ?? [];
  const margin = number === undefined ? Number.NaN : Number(number) / (percent === '%' ? 100 : 1);
  if (!(margin >= 0 && margin < 1)) throw new Error(`--margin: "${text}" is not a part such as 15% or 0.15`);
  return margin;
}

const chooseExperiments = (names) => (names.includes('none') ? [] : select(EXPERIMENTS, names, 'experiment'));

/** What the arguments ask for, checked; nothing has been done yet. */
export async function readOptions(args) {
  const given = await parser(args).parse();
  const preset = given.full ? 'full' : given.quick ? 'quick' : 'normal';
  const base = PRESETS[preset];
  const cells = list(given.cells) ?? PRESET_CELLS[preset];
  const targets = list(given.targets) ?? PRESET_TARGETS[preset];
  const chosen = {
    cells: select(CELLS, cells, 'cell'),
    targets: chooseTargets(targets),
    places: select(PLACES, list(given.places) ?? base.places, 'place').map(({ name }) => name),
    experiments: chooseExperiments(list(given.experiments) ?? base.experiments),
  };
  return {
    ...given,
    ...chosen,
    preset,
    rounds: Math.ceil(given.rounds ?? base.rounds),
    seconds: given.seconds ?? base.seconds,
    bytes: Math.ceil(given.size ?? base.mib) * MIB,
    margin: parseMargin(given.margin),
  };
}
