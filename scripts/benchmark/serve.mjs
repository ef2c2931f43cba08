// Serves mirror sets with the null engine, or legs that answer after a time: what no config may ask for. Says `ready`; ends when it is unmounted.
//
//   node scripts/benchmark/serve.mjs '{"mountpoint": "...", "delayUs": 100, "sets": [{"name": "a", "count": 2048, "legs": ["..."], "cache": "auto"}]}'
import { MountPoint } from '../../dist/fuse/mount.js';
import { MirrorSet } from '../../dist/mirror/mirror-set.js';
import { native } from '../../dist/native/binding.js';

const { mountpoint, delayUs, sets } = JSON.parse(process.argv[2]);
const say = (...parts) => process.stderr.write(`${parts.map(String).join(' ')}\n`);
const log = { error: say, warn: say, info: () => undefined, debug: () => undefined };

const binding = native();
const io = binding.openIo({ engine: 'null', faults: delayUs > 0, maxRunBytes: 1024 * 1024 });
if (delayUs > 0) binding.faultAdd({ action: 'delay', delayUs });
const opened = sets.map(({ name, count, legs }) =>
  MirrorSet.open(
    binding,
    {
      name,
      count,
      legs: legs.map((device) => ({ device, sector: 0 })),
      readPolicy: 'primary',
      ioTimeoutMs: 30_000,
      readOnly: false,
      syncRegionSectors: 1024,
    },
    { onEvent: ({ kind, ...rest }) => say(kind, JSON.stringify(rest)) },
  ),
);
// As the daemon does.
binding.protectFromReclaim();
process.env['FUSE_THREAD_STACK'] ??= String(512 * 1024);
const mount = new MountPoint(binding, {
  mountpoint,
  source: 'bench',
  files: sets.map(({ cache }, index) => ({
    set: opened[index],
    mode: 0o600,
    uid: process.getuid(),
    gid: process.getgid(),
    truncate: 'zero',
    cache,
    readOnly: false,
  })),
  engine: io.engine,
  allowOther: false,
  readOnly: false,
  generic: [],
  log,
});
await mount.mount();
process.stdout.write('ready\n');
await mount.wait();
for (const set of opened) await set.stop();
process.exit(0);
