/** When something runs out: descriptors, space, the daemon itself, or the patience of very many users. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { isRunning } from '../../src/util/process.js';
import {
  canMount,
  dmiofs,
  DMIOFS,
  legsEqual,
  MIB,
  must,
  oneSet,
  run,
  Scene,
  sh,
  until,
} from '../helpers/mounted.js';

const scenes: Scene[] = [];
const python = (await run('python3', ['--version'])).code === 0;

const descriptors = (pid: number): number => readdirSync(`/proc/${String(pid)}/fd`).length;
const threads = (pid: number): number => readdirSync(`/proc/${String(pid)}/task`).length;

describe.skipIf(!canMount)('a mount', () => {
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.close();
  });
  const mounted = async (options: Parameters<typeof oneSet>[0] = {}) => {
    const one = await oneSet(options);
    scenes.push(one.scene);
    return one;
  };

  it('whose daemon can open nothing more goes on with the data, and comes back to the rest', async () => {
    const one = await mounted();
    const { pid } = await one.scene.status(one.mountpoint);
    await must('prlimit', `--pid=${String(pid)}`, '--nofile=4:4096');
    await sh(`dd if=/dev/urandom of=${one.file} bs=64k count=32 oflag=direct conv=notrunc status=none`);
    await must('cmp', '-n', String(2 * MIB), one.file, one.legs[1] ?? '');
    await must(DMIOFS, 'fail', one.file, '1');
    expect((await dmiofs('re-add', one.file, '1')).code).not.toBe(0); // it would have to open the device
    await must('prlimit', `--pid=${String(pid)}`, '--nofile=4096:4096');
    await must(DMIOFS, 're-add', one.file, '1');
    await must(DMIOFS, 'wait', one.file);
    expect((await one.scene.set(one.file)).state).toBe('complete');
  });

  it('cannot be made without descriptors, and says so; nothing is left', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const config = scene.config({ s: { regions: [{ device: scene.image('a.img', MIB) }] } });
    const mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', '--assume-clean', config);
    const ran = await run('bash', ['-c', `ulimit -n 24; exec ${DMIOFS} mount ${config} ${mountpoint}`]);
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).not.toBe('');
    expect((await run('mountpoint', ['-q', mountpoint])).code).not.toBe(0);
    await scene.mount(config, mountpoint);
  });

  it('cannot be made without memory for its buffers, and says so; nothing is left', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const config = scene.config({ s: { regions: [{ device: scene.image('a.img', MIB) }] } });
    const mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', '--assume-clean', config);
    // Enough for Node.js, which ends or hangs by itself with less.
    const ran = await run('prlimit', [`--data=${String(200 * MIB)}:`, DMIOFS, 'mount', config, mountpoint]);
    expect(ran.code).toBe(32);
    expect(ran.stderr).toContain('Cannot allocate memory');
    expect((await run('mountpoint', ['-q', mountpoint])).code).not.toBe(0);
    await scene.mount(config, mountpoint);
  });

  it('whose state folder is full goes on, and stops in order', async () => {
    const scene = new Scene();
    scenes.push(scene);
    const state = scene.folder('state');
    await must('mount', '-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', state);
    const legs = ['a', 'b'].map((name) => scene.image(`${name}.img`, 8 * MIB));
    const config = scene.config({ data: { regions: legs.map((device) => ({ device })) } });
    const mountpoint = scene.folder('mnt');
    const file = `${mountpoint}/data`;
    await must(DMIOFS, 'init', '--assume-clean', config);
    await scene.mount(config, mountpoint);
    await run('bash', ['-c', `cat /dev/zero > ${state}/filler`]);
    await sh(`dd if=/dev/urandom of=${file} bs=64k conv=notrunc status=none iflag=fullblock count=128`);
    await must(DMIOFS, 'fail', file, '1');
    await must(DMIOFS, 're-add', file, '1');
    await must(DMIOFS, 'wait', file);
    expect((await scene.set(file)).state).toBe('complete');
    await scene.umount(mountpoint);
    await must('cmp', legs[0] ?? '', legs[1] ?? '');
    await scene.mount(config, mountpoint);
    expect((await scene.set(file)).sync.action).toBe('idle');
    await scene.umount(mountpoint);
  });

  it.skipIf(!python)(
    'is opened ten thousand times, and read by a thousand at once, and is as before',
    async () => {
      const one = await mounted();
      await sh(`dd if=/dev/urandom of=${one.file} bs=1M count=16 conv=notrunc status=none`);
      const { pid } = await one.scene.status(one.mountpoint);
      const before = { fds: descriptors(pid), rss: rss(pid) };
      const script = `import os,resource,threading,hashlib
resource.setrlimit(resource.RLIMIT_NOFILE,(10100,10100))
p=${JSON.stringify(one.file)}
fds=[os.open(p,os.O_RDONLY) for _ in range(10000)]
assert all(os.pread(fd,512,0)==os.pread(fds[0],512,0) for fd in fds[::100])
want=[os.pread(fds[0],4096,i*16384) for i in range(1000)]
wrong=[]
def work(i):
    fd=os.open(p,os.O_RDONLY|os.O_DIRECT) if i%2 else fds[i]
    import mmap
    m=mmap.mmap(-1,4096)
    for k in range(20):
        j=(i*7+k)%1000
        os.preadv(fd,[m],j*16384)
        if m[:]!=want[j]: wrong.append((i,j))
threading.stack_size(256*1024)
ts=[threading.Thread(target=work,args=(i,)) for i in range(1000)]
[t.start() for t in ts]; [t.join() for t in ts]
assert not wrong, wrong[:3]
`;
      await must('python3', '-c', script);
      await must('python3', '-c', script);
      // Queues of the most I/O that was ever under way are kept, at most one for each buffer; that is all.
      expect(descriptors(pid) - before.fds).toBeLessThan(300);
      await until('the idle threads end', () => threads(pid) < 100 || undefined);
      // Bounded by the workers and their buffers, not by the users.
      expect(rss(pid) - before.rss).toBeLessThan(120 * MIB);
      expect((await one.scene.set(one.file)).state).toBe('complete');
    },
  );

  it('whose daemon is killed under a mounted ext4: mounted again, the file system is clean', async () => {
    const one = await mounted({ bytes: 64 * MIB });
    const { pid } = await one.scene.status(one.mountpoint);
    const loop = await one.scene.loop(one.file, '--direct-io=on');
    const fs = one.scene.folder('fs');
    await must('mkfs.ext4', '-q', loop);
    await must('mount', loop, fs);
    await sh(
      `dd if=/dev/urandom of=${fs}/before bs=64k count=32 conv=fsync status=none; cp ${fs}/before ${one.scene.path('copy')}`,
    );
    const writer = one.scene.spawn('bash', [
      '-c',
      `while :; do dd if=/dev/zero of=${fs}/junk bs=64k count=64 conv=fsync status=none || exit; done`,
    ]);
    await until('it writes', () => existsSync(`${fs}/junk`) || undefined);
    process.kill(pid, 'SIGKILL');
    await until('the daemon has ended', () => !isRunning(pid) || undefined);
    writer.kill('SIGKILL');
    await must('umount', '-l', fs);
    await one.scene.dropLoop(loop);
    await one.scene.mount(one.config, one.mountpoint);
    const again = await one.scene.loop(one.file);
    expect((await run('e2fsck', ['-p', '-f', again])).code).toBeLessThan(2);
    expect((await run('e2fsck', ['-n', '-f', again])).code).toBe(0);
    await must('mount', again, fs);
    await must('cmp', `${fs}/before`, one.scene.path('copy'));
    await must('umount', fs);
    await one.scene.dropLoop(again);
    await must(DMIOFS, 'wait', one.file);
    await one.scene.umount(one.mountpoint);
    expect(legsEqual(one)).toBe(true);
  });

  it('over which something else is mounted can still be ended', async () => {
    const one = await mounted();
    const { pid } = await one.scene.status(one.mountpoint);
    await must('mount', '-t', 'tmpfs', 'tmpfs', one.mountpoint);
    expect(existsSync(one.file)).toBe(false);
    process.kill(pid, 'SIGTERM');
    await must('umount', one.mountpoint);
    await until(
      'the daemon has ended, or serves on',
      () => !isRunning(pid) || existsSync(one.file) || undefined,
    );
    if (isRunning(pid)) await run(DMIOFS, ['umount', one.mountpoint]);
    await until('the daemon has ended', () => !isRunning(pid) || undefined);
    expect(one.scene.daemonLog()).toContain('"stopped"');
  });
});

function rss(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}
