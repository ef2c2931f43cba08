/** `cache: writeback`: writes gather in the kernel's page cache; they are on the legs, and their errors known, at fsync and close. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  canMount,
  dmiofs,
  legBytes,
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

async function mounted(options: Parameters<typeof oneSet>[0] = {}): Promise<OneSet> {
  const one = await oneSet({ ...options, set: { cache: 'writeback', ...options.set } });
  scenes.push(one.scene);
  return one;
}

/** A Python script over the set's file `FILE`; what it prints. */
const python = (one: OneSet, script: string): Promise<string> =>
  must('python3', '-c', `import errno,mmap,os,sys\nFILE=${JSON.stringify(one.file)}\n${script}`);

const sizeOf = async (one: OneSet): Promise<number> => Number(await must('stat', '-c', '%s', one.file));
const writes = async (one: OneSet): Promise<number> =>
  (await one.scene.status(one.mountpoint)).operations.write;
const stock = process.env['DMIOFS_SESSION'] === 'stock';

describe.skipIf(!canMount || stock)('the writeback cache', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });

  it('gathers small writes into few, all on the legs at fsync', async () => {
    const one = await mounted();
    expect((await one.scene.status(one.mountpoint)).session_limits.writeback_cache).toBe(true);
    const before = await writes(one);
    const data = join(one.scene.dir, 'data');
    await sh(
      `head -c 4M /dev/urandom > ${data}; dd if=${data} of=${one.file} bs=4k conv=notrunc,fsync status=none`,
    );
    expect((await writes(one)) - before).toBeLessThan(200); // of 1024
    for (const leg of one.legs) await must('cmp', '-n', String(4 * MIB), data, leg);
    await must('cmp', '-n', String(4 * MIB), data, one.file);
    expect(await sizeOf(one)).toBe(one.bytes);
  });

  it('writes parts of pages, through any descriptor and by mmap, and reads all that back at once', async () => {
    const one = await mounted({ bytes: MIB });
    await sh(
      `head -c ${String(MIB)} /dev/urandom | dd of=${one.file} bs=64k iflag=fullblock conv=notrunc,fsync status=none`,
    );
    const expected = Buffer.from(legBytes(one.legs[0] ?? '', MIB));
    expected.write('part of a page', 5000);
    expected.write('by mmap', 70_001);
    expected.fill('D', 131_072, 135_168);
    const seen = await python(
      one,
      `
writer=os.open(FILE, os.O_WRONLY)
os.pwrite(writer, b'part of a page', 5000)
m=mmap.mmap(os.open(FILE, os.O_RDWR), ${String(MIB)}, mmap.MAP_SHARED)
m[70001:70008]=b'by mmap'
page=mmap.mmap(-1, 4096); page.write(b'D'*4096)
os.pwritev(os.open(FILE, os.O_WRONLY|os.O_DIRECT), [page], 131072)
direct=os.open(FILE, os.O_RDONLY|os.O_DIRECT)
os.preadv(direct, [page], 4096)
sys.stdout.write(page[904:918].decode())
m.flush()
os.fsync(writer)`,
    );
    expect(seen).toBe('part of a page');
    expect(readFileSync(one.file).equals(expected)).toBe(true);
    for (const leg of one.legs) expect(legBytes(leg, MIB).equals(expected)).toBe(true);
  });

  it('loses nothing that was written at umount, nor when the daemon is asked to end while a file is open', async () => {
    const one = await mounted();
    const data = join(one.scene.dir, 'data');
    await sh(
      `head -c 2M /dev/urandom > ${data}; dd if=${data} of=${one.file} bs=4k conv=notrunc status=none`,
    );
    await one.scene.umount(one.mountpoint);
    for (const leg of one.legs) await must('cmp', '-n', String(2 * MIB), data, leg);

    const { pid } = await one.scene.mount(one.config, one.mountpoint);
    await sh(`
      exec 7<>${one.file}
      dd if=${data} bs=4k seek=256 of=/proc/self/fd/7 conv=notrunc status=none
      kill -TERM ${String(pid)}; sleep 0.2
      dd if=${data} bs=4k count=1 >&7 status=none
      exec 7>&-
      for i in $(seq 200); do kill -0 ${String(pid)} 2>/dev/null || exit 0; sleep 0.1; done; exit 1`);
    for (const leg of one.legs) {
      await must('cmp', '-n', String(2 * MIB), '-i', `0:${String(MIB)}`, data, leg);
      await must('cmp', '-n', '4096', data, leg);
    }
    expect(legsEqual(one)).toBe(true);
  });

  it('records a leg that fails at a write-back; fsync succeeds on the other, and fails when there is none', async () => {
    const one = await mounted();
    await one.scene.umount(one.mountpoint);
    const rule = (leg: number) => ({ action: 'error', device: one.legs[leg], ops: ['write'] });
    await one.scene.mount(one.config, one.mountpoint, '--fault-rules', JSON.stringify([rule(1)]));
    await sh(`dd if=/dev/urandom of=${one.file} bs=4k count=64 conv=notrunc,fsync status=none`);
    const { legs } = await one.scene.set(one.file);
    expect(legs.map(({ state }) => state)).toEqual(['in-sync', 'failed']);
    await must('cmp', '-n', String(256 * 1024), one.file, one.legs[0] ?? '');

    await one.scene.umount(one.mountpoint);
    await one.scene.mount(one.config, one.mountpoint, '--fault-rules', JSON.stringify([rule(0)]));
    const failed = await run('dd', [
      'if=/dev/zero',
      `of=${one.file}`,
      'bs=4k',
      'count=64',
      'conv=notrunc,fsync',
    ]);
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toContain('Input/output error');
  });

  it('refuses what was written past the end at fsync, keeps what fits, and the size is right again', async () => {
    const one = await mounted({ bytes: MIB });
    const end = String(MIB);
    const told = await python(
      one,
      `
fd=os.open(FILE, os.O_RDWR)
os.pwrite(fd, b'x'*8192, ${end}-4096)
try:
  os.fsync(fd); print('no error')
except OSError as e: print(errno.errorcode[e.errno])`,
    );
    expect(told.trim()).toBe('ENOSPC');
    await until('the size is right', async () => ((await sizeOf(one)) === MIB ? true : undefined));
    const expected = Buffer.concat([Buffer.alloc(MIB - 4096), Buffer.alloc(4096, 'x')]);
    for (const leg of one.legs) expect(legBytes(leg, MIB).equals(expected)).toBe(true);
    expect(readFileSync(one.file).equals(expected)).toBe(true);

    // Once more, by who appends: the close tells.
    await python(
      one,
      `fd=os.open(FILE, os.O_WRONLY|os.O_APPEND); os.write(fd, b'y'*100)
try: os.close(fd); sys.exit(1)
except OSError as e: assert e.errno==errno.ENOSPC, e`,
    );
    await until('the size is right again', async () => ((await sizeOf(one)) === MIB ? true : undefined));
    expect(legsEqual(one)).toBe(true);
  });

  it('refuses O_TRUNC and every other size, and changes nothing', async () => {
    const one = await mounted({ bytes: MIB });
    await sh(`dd if=/dev/urandom of=${one.file} bs=64k count=16 conv=notrunc,fsync status=none`);
    const content = legBytes(one.legs[0] ?? '', MIB);
    const told = await python(
      one,
      `
def code(f):
  try: f(); return '0'
  except OSError as e: return errno.errorcode[e.errno]
fd=os.open(FILE, os.O_RDWR)
print(code(lambda: os.open(FILE, os.O_WRONLY|os.O_TRUNC)), code(lambda: os.truncate(FILE, 0)),
  code(lambda: os.ftruncate(fd, 4096)), code(lambda: os.ftruncate(fd, ${String(2 * MIB)})), code(lambda: os.ftruncate(fd, ${String(MIB)})))`,
    );
    expect(told.trim()).toBe('EPERM EPERM EPERM EFBIG 0');
    expect(await sizeOf(one)).toBe(MIB);
    expect(readFileSync(one.file).equals(content)).toBe(true);
  });

  it('is not had beside a set that has not asked for it: every write goes through', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const set = (name: string, cache: string): object => ({
      regions: [0, 1].map((leg) => ({ device: scene.path(`${name}${String(leg)}`) })),
      size: MIB,
      cache,
    });
    const config = scene.config({ one: set('one', 'writeback'), two: set('two', 'auto') });
    const mountpoint = scene.folder('mnt');
    expect((await dmiofs('init', config)).code).toBe(0);
    const status = await scene.mount(config, mountpoint);
    expect(status.session_limits.writeback_cache).toBe(false);
    expect(scene.daemonLog()).toContain('not every set of this mount');
    writeFileSync(join(mountpoint, 'one'), Buffer.alloc(MIB, 3)); // with O_TRUNC
    await until('it is on the legs', () =>
      legBytes(scene.path('one1'), MIB)[MIB - 1] === 3 ? true : undefined,
    );
  });
});
