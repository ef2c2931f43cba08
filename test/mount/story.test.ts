/** A whole story: a mirror under load loses a disk; someone is told, puts a new one in, and the load never notices. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, dmiofs, MIB, must, run, Scene, sh, until } from '../helpers/mounted.js';

const fio = (await run('fio', ['--version'])).code === 0;

describe.skipIf(!canMount || !fio)('a disk dies at night', () => {
  let scene: Scene;
  afterEach(async () => {
    await scene.close();
  });

  it('and nobody who uses the file sees it', async () => {
    scene = new Scene();
    const bytes = 48 * MIB;
    const images = ['a', 'b', 'c'].map((name) => scene.image(`${name}.img`, bytes));
    const [a = '', b = '', c = ''] = await Promise.all(images.map((image) => scene.loop(image)));
    const config = scene.config({
      data: { regions: [{ device: a }, { device: b }], log: { region_size: 65536 }, io_timeout: '2s' },
    });
    const mountpoint = scene.folder('mnt');
    const file = `${mountpoint}/data`;
    await must(DMIOFS, 'init', '--assume-clean', config);
    // Disk b fails for good after a while.
    const rule = { action: 'error', device: b, ops: ['write'], skip: 400, error: 5 };
    await scene.mount(config, mountpoint, '--fault-rules', JSON.stringify([rule]));

    const alert = scene.path('alert');
    const told = scene.path('told');
    writeFileSync(alert, `#!/bin/sh\necho "$1 $2 $3 $4" >> ${told}\n`);
    chmodSync(alert, 0o755);
    const monitor = scene.spawn(DMIOFS, ['monitor', file, '--exec', alert]);

    // Writes that check what they read, for as long as the story lasts; any error ends it.
    const load = scene.spawn('fio', [
      '--name=load',
      `--filename=${file}`,
      '--rw=randwrite',
      '--bs=4k',
      `--size=${String(32 * MIB)}`,
      '--direct=1',
      '--rate_iops=600',
      '--verify=crc32c',
      '--verify_state_save=0',
      '--verify_backlog=64',
      '--verify_fatal=1',
      '--loops=1000',
      '--exitall_on_error=1',
    ]);
    let said = '';
    load.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    load.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise<void>((resolve) =>
      load.on('exit', () => {
        resolve();
      }),
    );

    const states = async (): Promise<string> => (await scene.set(file)).legs.map(({ state }) => state).join();
    await until('the disk has died', async () => ((await states()) === 'in-sync,failed' ? true : undefined));
    await until(
      'someone is told',
      () => (existsSync(told) && readFileSync(told, 'utf8').includes('leg-failed')) || undefined,
    );
    expect(readFileSync(told, 'utf8')).toContain(`leg-failed ${file} 1 ${b}`);
    expect((await dmiofs('status', file)).code).toBe(1);

    await must(DMIOFS, 'replace', file, '1', c);
    await must(DMIOFS, 'wait', file);
    expect(await states()).toBe('in-sync,in-sync');
    expect((await dmiofs('status', file)).code).toBe(0);
    const scrub = await dmiofs('scrub', file);
    expect(scrub.stderr).toBe('');
    expect(scrub.code).toBe(0);

    expect(load.exitCode).toBeNull(); // it has run all the while
    load.kill('SIGINT');
    await ended;
    expect(said).not.toMatch(/verify:|error=|Input\/output/);
    monitor.kill('SIGTERM');
    await scene.umount(mountpoint);
    await sh(`cmp ${a} ${c}`);
    expect(readFileSync(config, 'utf8')).toContain(c);
    await until(
      'the end of the copy is told',
      () => readFileSync(told, 'utf8').includes('resync-finished') || undefined,
    );
  });
});
