// The peer: qemu-storage-daemon, a quorum of two over direct files, exported by FUSE.
import { writeFileSync } from 'node:fs';
import { measureWithFio } from '../fio.mjs';
import { isMounted, unmount } from '../mounts.mjs';
import { CommandError, run, serve } from '../processes.mjs';
import { onEnd } from '../undo.mjs';

/** Whichever this build has, the fastest first. */
const AIO = ['io_uring', 'native', 'threads'];

function argumentsOf(legs, mountpoint, aio) {
  // The protocol driver is of the kind of the leg: a file, or a loop device.
  const driver = legs[0].path.startsWith('/dev/loop') ? 'host_device' : 'file';
  return [
    ...legs.flatMap(({ path }, index) => [
      '--blockdev',
      `driver=${driver},node-name=leg${index},filename=${path},cache.direct=on,aio=${aio}`,
    ]),
    '--blockdev',
    'driver=quorum,node-name=mirror,vote-threshold=1,read-pattern=fifo,children.0=leg0,children.1=leg1',
    '--export',
    `type=fuse,id=export,node-name=mirror,mountpoint=${mountpoint},writable=on`,
  ];
}

async function startPeer(place) {
  const legs = await place.legs('peer', 2);
  const file = place.path('peer-mnt');
  writeFileSync(file, ''); // a file is mounted on a file
  let server;
  for (const aio of AIO) {
    try {
      server = await serve('qemu-storage-daemon', argumentsOf(legs, file, aio), {
        isReady: () => isMounted(file),
        env: { DMIOFS_TEST_TMP: place.folder },
      });
      break;
    } catch (error) {
      if (!(error instanceof CommandError) || aio === AIO.at(-1)) throw error;
    }
  }
  const { pid } = server;
  const stop = onEnd(async () => {
    await server.stop();
    await unmount(file);
    for (const { remove } of legs) await remove();
  });
  return { pids: [pid], measure: (cell, options) => measureWithFio(cell, file, options, [pid]), stop };
}

export const PEERS = [
  {
    name: 'peer',
    label: 'qemu-storage-daemon',
    what: 'qemu-storage-daemon: quorum of two over direct files, FUSE export',
    start: startPeer,
    version: async () => (await run('qemu-storage-daemon', ['--version'])).split('\n')[0],
  },
];
