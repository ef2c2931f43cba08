// How long `dmiofs mount` and `dmiofs umount` take for one set, and what the daemon holds when it is idle.
import { rmSync } from 'node:fs';
import { memoryOf } from '../processes.mjs';
import { table } from '../report/tables.mjs';
import { median } from '../stats.mjs';
import { mountSets } from '../targets/dmiofs.mjs';

const MIB = 1024 * 1024;

async function run({ places, options, say }) {
  const place = places[0];
  const rounds = [];
  for (let round = 0; round < Math.max(3, options.rounds); round++) {
    const regions = ['a', 'b'].map((leg) => ({ device: `./${leg}.img` }));
    const mount = await mountSets(place, `mount${round}`, { sets: { data: { regions, size: '1GiB' } } });
    const memory = memoryOf(mount.pid);
    const unmountSeconds = await mount.stop();
    rmSync(mount.folder, { recursive: true, force: true });
    rounds.push({ mountSeconds: mount.mountSeconds, unmountSeconds, memory });
  }
  say(`mounted in ${median(rounds.map(({ mountSeconds }) => mountSeconds)).toFixed(2)} s`);
  return { rounds };
}

function report({ rounds }) {
  const middle = (pick) => median(rounds.map(pick));
  return [
    '### Mounting',
    table(
      ['what', 'median', 'wanted'],
      [
        [
          '`dmiofs mount` until the files can be used, one set of 1 GiB',
          `${middle((one) => one.mountSeconds).toFixed(2)} s`,
          'under 1 s',
        ],
        ['`dmiofs umount`, the daemon ended', `${middle((one) => one.unmountSeconds).toFixed(2)} s`, ''],
        [
          'memory of an idle daemon, resident',
          `${(middle((one) => one.memory.resident) / MIB).toFixed(0)} MiB`,
          '',
        ],
        ['of that its own', `${(middle((one) => one.memory.anonymous) / MIB).toFixed(0)} MiB`, ''],
      ],
    ),
  ].join('\n\n');
}

function goals({ rounds }) {
  const seconds = median(rounds.map(({ mountSeconds }) => mountSeconds));
  return [['A set is mounted in under 1 s', `${seconds.toFixed(2)} s`, seconds < 1]];
}

export const MOUNT = {
  name: 'mount',
  what: 'time to mount and unmount one set, memory of an idle daemon',
  samples: 6,
  report,
  goals,
  run,
};
