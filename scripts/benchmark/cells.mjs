// The cells of the benchmark: one kind of load each. A cell's name says all of it, and is what --cells selects.
//
//     OPERATION-BLOCK-MODE-LOAD      randwrite-4k-direct-j4

export const MODES = ['direct', 'buffered'];
export const OPERATIONS = ['read', 'write', 'randread', 'randwrite'];
export const BLOCKS = { '4k': 4096, '128k': 128 * 1024, '1m': 1024 * 1024 };
const MIB = 1024 * 1024;

/** Bytes that a buffered cell moves at most: what is left in the page cache is written back within the sample, by its final fsync. */
const BUFFERED_BYTES = { '4k': 64 * MIB, '128k': 256 * MIB, '1m': 512 * MIB };

function cell(operation, blockName, mode, load, extra = {}) {
  const [, kind, count] = /^([jq])(\d+)$/.exec(load);
  return Object.freeze({
    name: [operation, blockName, mode, load].join('-'),
    operation,
    rw: operation,
    block: BLOCKS[blockName],
    blockName,
    mode,
    direct: mode === 'direct',
    /** Processes at work, each with `depth` transfers in flight. */
    jobs: kind === 'j' ? Number(count) : 1,
    depth: kind === 'q' ? Number(count) : 1,
    random: operation.startsWith('rand') || operation === 'mixed',
    writes: operation !== 'read' && operation !== 'randread',
    /** fsync after so many writes; 0: one at the end. */
    fsyncEach: 0,
    byteLimit: mode === 'buffered' ? BUFFERED_BYTES[blockName] : undefined,
    ...extra,
  });
}

/** In the order of the report. */
export const CELLS = [
  ...MODES.flatMap((mode) =>
    OPERATIONS.flatMap((operation) =>
      Object.keys(BLOCKS).flatMap((block) => ['j1', 'j4'].map((load) => cell(operation, block, mode, load))),
    ),
  ),
  ...['j1', 'j4'].map((load) => cell('fsync', '4k', 'buffered', load, { rw: 'randwrite', fsyncEach: 1 })),
  ...['j1', 'j4'].map((load) => cell('mixed', '4k', 'direct', load, { rw: 'randrw' })),
  ...['randread', 'randwrite'].map((operation) => cell(operation, '4k', 'direct', 'q16')),
];

/** Of each preset: what --cells is without being given. */
export const PRESET_CELLS = {
  quick: [
    '*-4k-direct-j?',
    'read-1m-direct-j1',
    'write-1m-direct-j1',
    'randwrite-128k-direct-j4',
    'write-4k-buffered-j1',
    'read-128k-buffered-j1',
    'fsync-4k-buffered-j1',
  ],
  normal: ['*-4k-*', '*-128k-direct-*', '*-1m-direct-*', '*-1m-buffered-j1'],
  full: ['*'],
};

/** Does the name match one of the patterns, in which * stands for any text and ? for one character? */
export function matches(name, patterns) {
  return patterns.some((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`).test(name);
  });
}

/** What the patterns select of these named things, in their order; an error names a pattern that selects none. */
export function select(things, patterns, what) {
  for (const pattern of patterns) {
    if (things.some(({ name }) => matches(name, [pattern]))) continue;
    throw new Error(
      `no ${what} matches "${pattern}"; there are: ${things.map(({ name }) => name).join(', ')}`,
    );
  }
  return things.filter(({ name }) => matches(name, patterns));
}
