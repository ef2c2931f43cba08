/** The FUSE session: what the shim adds to libfuse 2.9's, and that all works without it. */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  canMount,
  DMIOFS,
  legsEqual,
  MIB,
  must,
  type OneSet,
  oneSet,
  run,
  Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const scenes: Scene[] = [];
const fio = (await run('fio', ['--version'])).code === 0;

async function mounted(
  session: 'shim' | 'stock',
  options: Parameters<typeof oneSet>[0] = {},
): Promise<OneSet> {
  const before = process.env['DMIOFS_SESSION'];
  if (session === 'stock') process.env['DMIOFS_SESSION'] = 'stock';
  else delete process.env['DMIOFS_SESSION'];
  try {
    const one = await oneSet(options);
    scenes.push(one.scene);
    return one;
  } finally {
    if (before === undefined) delete process.env['DMIOFS_SESSION'];
    else process.env['DMIOFS_SESSION'] = before;
  }
}

/** The ids of the threads that answer requests. */
function sessionThreads(pid: number): readonly string[] {
  const tasks = `/proc/${String(pid)}/task`;
  return readdirSync(tasks).filter((id) => {
    try {
      return readFileSync(`${tasks}/${id}/comm`, 'utf8').trim() === 'dmiofs-session';
    } catch {
      return false; // it has ended
    }
  });
}

/** So many reads at once, of a file whose leg takes some time for each. */
const readersAtOnce = (file: string, count: number): Promise<string> =>
  must(
    'python3',
    '-c',
    `import os,threading
fd=os.open(${JSON.stringify(file)}, os.O_RDONLY)
start=threading.Barrier(${String(count)})
def work(at):
  start.wait()
  assert len(os.pread(fd, 512, at*512))==512
threads=[threading.Thread(target=work, args=(n,)) for n in range(${String(count)})]
[t.start() for t in threads]; [t.join() for t in threads]`,
  );

const writes = async ({ scene, mountpoint }: OneSet): Promise<number> =>
  (await scene.status(mountpoint)).operations.write;

describe.skipIf(!canMount)('the session', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it.each(['shim', 'stock'] as const)('is told by status: %s', async (session) => {
    const one = await mounted(session);
    const status = await one.scene.status(one.mountpoint);
    expect(status.session).toBe(session);
    expect(status.session_limits.max_request).toBe(session === 'shim' ? MIB : 128 * 1024);
    expect(status.session_limits.parallel_direct_writes).toBe(session === 'shim');
  });

  it.each([
    ['shim', 1],
    ['stock', 8],
  ] as const)('with the %s a write of 1 MiB is %i', async (session, count) => {
    const one = await mounted(session);
    const before = await writes(one);
    await sh(`dd if=/dev/urandom of=${one.file} bs=1M count=1 oflag=direct conv=notrunc status=none`);
    expect((await writes(one)) - before).toBe(count);
    await must('cmp', '-n', String(MIB), one.file, one.legs[1] ?? '');
  });

  it.skipIf(!fio).each(['shim', 'stock'] as const)(
    'with the %s many overlapping direct writes at once leave the legs equal',
    async (session) => {
      const one = await mounted(session, { bytes: MIB, set: { log: { region_size: 65536 } } });
      const load = await run('fio', [
        '--name=overlap',
        `--filename=${one.file}`,
        '--rw=randwrite',
        '--bsrange=512-256k',
        '--bs_unaligned=0',
        '--blockalign=512',
        `--size=${String(MIB)}`,
        '--direct=1',
        '--ioengine=libaio',
        '--iodepth=16',
        '--numjobs=4',
        '--norandommap',
        '--serialize_overlap=0',
        '--loops=20',
        '--randrepeat=0',
        '--refill_buffers',
      ]);
      expect(load.stderr).toBe('');
      expect(load.code).toBe(0);
      await one.scene.umount(one.mountpoint);
      expect(legsEqual(one)).toBe(true);
    },
  );

  it('keeps its threads for the next requests, and lets those of a burst go', async () => {
    const one = await mounted('shim', { set: { cache: 'none' } });
    await one.scene.umount(one.mountpoint);
    const slow = [{ action: 'delay', ops: ['read'], delayMs: 100 }];
    await one.scene.mount(one.config, one.mountpoint, '--fault-rules', JSON.stringify(slow));
    const { pid } = await one.scene.status(one.mountpoint);
    await readersAtOnce(one.file, 30);
    const made = sessionThreads(pid);
    expect(made.length).toBeGreaterThanOrEqual(30);
    await readersAtOnce(one.file, 30);
    expect(sessionThreads(pid)).toEqual(expect.arrayContaining([...made]));
    await readersAtOnce(one.file, 150);
    await until('those of the burst have gone', () => sessionThreads(pid).length <= 65 || undefined);
  });

  it('keeps the legs equal, and all that was written, where many at once share blocks of 4 KiB', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const legs = await Promise.all(
      ['a', 'b'].map((name) => scene.loop(scene.image(name, MIB), '--sector-size', '4096')),
    );
    const config = scene.config({ data: { regions: legs.map((device) => ({ device })), cache: 'none' } });
    const mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', config);
    await scene.mount(config, mountpoint);
    // Each thread has the sectors of one remainder by eight: all of them share every block.
    const script = `import os,threading
fd=os.open(${JSON.stringify(join(mountpoint, 'data'))}, os.O_WRONLY)
def work(mine):
  for sector in range(mine, 512, 8): assert os.pwrite(fd, bytes([65+mine])*512, sector*512)==512
threads=[threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
os.fsync(fd)`;
    await must('python3', '-c', script);
    await scene.umount(mountpoint);
    const expected = Buffer.alloc(MIB);
    for (let sector = 0; sector < 512; sector++)
      expected.fill(65 + (sector % 8), sector * 512, (sector + 1) * 512);
    for (const leg of legs) expect((await readFile(leg)).equals(expected)).toBe(true);
  });

  it.skipIf(!fio)('reads back what was written by many at once, checked by fio', async () => {
    const one = await mounted('shim', { bytes: 32 * MIB });
    for (const mode of ['--direct=1', '--direct=0']) {
      const load = await run('fio', [
        '--name=verify',
        `--filename=${one.file}`,
        '--rw=randwrite',
        '--bs=4k',
        '--size=8M',
        '--offset_increment=8M',
        '--ioengine=libaio',
        '--iodepth=8',
        '--numjobs=4',
        '--verify=crc32c',
        '--verify_state_save=0',
        '--verify_fatal=1',
        '--verify_state_save=0', // else it leaves files in the current folder
        mode,
      ]);
      expect(load.stderr).toBe('');
      expect(load.code).toBe(0);
    }
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });

  it('maps a file that is always opened direct', async () => {
    const one = await mounted('shim', { set: { cache: 'none' } });
    const script = `import mmap,os
fd=os.open(${JSON.stringify(one.file)}, os.O_RDWR)
m=mmap.mmap(fd, 1<<20, mmap.MAP_SHARED)
m[4096:4101]=b'hello'
m.flush()
os.fsync(fd)
`;
    await must('python3', '-c', script);
    expect(await must('dd', `if=${one.legs[1] ?? ''}`, 'bs=1', 'skip=4096', 'count=5', 'status=none')).toBe(
      'hello',
    );
  });

  it('asks for no attribute at each buffered write', async () => {
    const one = await mounted('shim');
    const before = (await one.scene.status(one.mountpoint)).operations;
    await sh(`dd if=/dev/zero of=${one.file} bs=4k count=500 conv=notrunc,fsync status=none`);
    const { native, write } = (await one.scene.status(one.mountpoint)).operations;
    // Some for opening and looking; not one a write.
    expect(native - before.native - (write - before.write)).toBeLessThan(100);
  });
});
