/** The recipes of docs/operations.md, run as they stand there, on loop devices. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import { canMount, DMIOFS, exists, MIB, must, run, Scene, until } from '../helpers/mounted.js';

const TEXT = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const BYTES = 16 * MIB;

/** The shell blocks under a heading, in order. */
function recipe(heading: string): readonly string[] {
  const section = TEXT.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/operations.md has no recipe ${JSON.stringify(heading)}`);
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, script]) => script ?? '');
}

const missing = await Promise.all(
  ['nbdkit', 'nbdfuse', 'losetup', 'mkfs.ext4'].map(async (tool) =>
    (await run('bash', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${tool}`])).code === 0 ? [] : [tool],
  ),
).then((lists) => lists.flat());

describe.skipIf(!canMount)('the recipe', () => {
  let scene: Scene;
  let env: Record<string, string>;

  beforeEach(async () => {
    scene = new Scene();
    mkdirSync(scene.path('bin'));
    symlinkSync(DMIOFS, scene.path('bin/dmiofs'));
    const disks: Record<string, string> = {};
    for (const name of ['A', 'B', 'C', 'D'])
      disks[name] = await scene.loop(scene.image(`${name}.img`, BYTES));
    env = {
      ...disks,
      PATH: `${scene.path('bin')}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
      CONFIG: scene.path('disks.yaml'),
      MNT: scene.folder('mnt'),
      FILE: scene.path('mnt/data'),
      RUN: scene.folder('run'),
      STATE_DIRECTORY: scene.folder('state'),
    };
  });
  afterEach(async () => {
    await scene.close();
  });

  const bash = async (script: string): Promise<string> => {
    const ran = await run('bash', ['-euo', 'pipefail', '-c', script], { env });
    if (ran.code !== 0) throw new Error(`exit ${String(ran.code)}\n${script}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  };
  const follow = async (heading: string, block?: number): Promise<string> => {
    const blocks = recipe(heading);
    const chosen = block === undefined ? blocks : blocks.slice(block, block + 1);
    expect(chosen).not.toHaveLength(0);
    let said = '';
    for (const script of chosen) said += await bash(script);
    await remember();
    return said;
  };
  const place = (name: string): string => env[name] ?? '';
  const set = () => scene.set(place('FILE'));
  /** The daemon of a mount that a recipe made ends with the scene. */
  const remember = async (): Promise<void> => {
    if ((await run('mountpoint', ['-q', place('MNT')])).code === 0) await scene.adopt(place('MNT'));
  };
  const begin = async (): Promise<string> => {
    const data = scene.path('data');
    await bash(`head -c ${String(BYTES)} /dev/urandom > ${data}; cp ${data} $A`);
    const said = await follow('A first set');
    expect(said).toContain('complete');
    return data;
  };
  /** Every leg of the set holds this. */
  const holds = async (data: string): Promise<void> => {
    const { legs, state } = await set();
    expect(state).toBe('complete');
    await must('cmp', data, place('FILE'));
    for (const { device } of legs) await must('cmp', '-n', String(BYTES), data, device);
  };

  it('"A first set": the data of leg 0 is on both', async () => {
    await holds(await begin());
  });

  it('"A file system on the file"', async () => {
    await begin();
    await follow('A file system on the file');
    const loop = await scene.loop(place('A'), '--read-only');
    const folder = scene.folder('look');
    await must('mount', '-o', 'ro,noload', loop, folder);
    try {
      expect(readFileSync(`${folder}/note`, 'utf8')).toBe('kept\n');
    } finally {
      await run('umount', [folder]);
      await scene.dropLoop(loop);
    }
  });

  it('"A disk dies"', async () => {
    const data = await begin();
    await bash('dmiofs fail $FILE 1');
    await follow('A disk dies');
    expect((await set()).legs[1]?.device).toBe(place('C'));
    await holds(data);
  });

  it('"A disk was only away"', async () => {
    const data = await begin();
    await bash(`dmiofs fail $FILE 1; dd if=/dev/urandom of=${data} bs=64k seek=3 count=1 conv=notrunc status=none
      dd if=${data} of=$FILE bs=64k skip=3 seek=3 count=1 conv=notrunc,fsync status=none`);
    await follow('A disk was only away');
    await holds(data);
    expect((await set()).error_bits).toBe('0x0000000000000000');
  });

  it('"Three legs"', async () => {
    const data = await begin();
    await follow('Three legs');
    expect((await set()).legs.map(({ device }) => device)).toEqual([place('B'), place('C')]);
    await holds(data);
  });

  it('"Do the legs still hold the same?"', async () => {
    const data = await begin();
    await follow('Do the legs still hold the same?');
    await bash('dd if=/dev/urandom of=$B bs=512 seek=2048 count=16 conv=notrunc,fsync status=none');
    const found = await run('bash', ['-c', 'dmiofs scrub $FILE'], { env });
    expect(found.code).toBe(1);
    expect(found.stdout).toContain('sectors 2048+16: leg 0 ');
    await run('bash', ['-c', recipe('Do the legs still hold the same?').join('')], { env });
    await holds(data);
  });

  it('"To new disks without stopping"', async () => {
    const data = await begin();
    await follow('To new disks without stopping');
    await until(
      'the legs are the new disks',
      async () =>
        (await set()).legs.map(({ device }) => device).join() === `${place('C')},${place('D')}` || undefined,
    );
    await holds(data);
  });

  it('"The machine crashed, or the daemon was killed"', async () => {
    const data = await begin();
    const { pid } = await scene.status(place('MNT'));
    process.kill(pid, 'SIGKILL');
    await until('the daemon has ended', () => !isRunning(pid) || undefined);
    await follow('The machine crashed, or the daemon was killed');
    await holds(data);
  });

  it.skipIf(missing.length > 0)('"A leg on another machine"', async () => {
    const data = await begin();
    env['PORT'] = String(await freePort());
    const [serve = '', use = ''] = recipe('A leg on another machine');
    try {
      await bash(serve);
      // The program in the background must not hold the test's pipes.
      await bash(use.replace(' &\n', ' < /dev/null > /dev/null 2>&1 &\n'));
      await holds(data);
      await bash(
        `dd if=/dev/urandom of=${data} bs=1M count=2 conv=notrunc status=none; dd if=${data} of=$FILE bs=1M count=2 oflag=direct conv=notrunc status=none`,
      );
      await must('cmp', data, place('C'));
      await bash('dmiofs umount $MNT');
    } finally {
      await run('umount', ['-l', scene.path('run/remote')]);
      for (const name of ['nbdfuse', 'nbdkit']) {
        const file = scene.path(`run/${name}.pid`);
        if (exists(file)) await run('kill', [readFileSync(file, 'utf8').trim()]);
      }
    }
  });

  it('"To a kernel mirror and back"', async () => {
    await begin();
    const said = await follow('To a kernel mirror and back');
    expect(said).toContain(place('A'));
    expect(readFileSync(scene.path('run/table'), 'utf8')).toMatch(/^0 32768 mirror disk 3? ?/);
  });

  it('"A copy is too fast or too slow"', async () => {
    await begin();
    await follow('A copy is too fast or too slow');
    const { sync } = await set();
    expect([sync.min, sync.max, sync.paused]).toEqual([4 * MIB, 100 * MIB, false]);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}
