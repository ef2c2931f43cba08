/** What the daemon tells a service manager over NOTIFY_SOCKET: real datagrams, as sd_notify(3) sends them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, MIB, must, Scene, until, why } from '../helpers/mounted.js';

/** Binds a datagram socket and prints each message as a line of JSON. */
const LISTENER = [
  'import json, socket, sys',
  'name = sys.argv[1]',
  's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
  's.bind("\\0" + name[1:] if name[0] == "@" else name)',
  'print("ready", flush=True)',
  'while True: print(json.dumps(s.recv(4096).decode()), flush=True)',
].join('\n');

let scene: Scene;
let config: string;
let mountpoint: string;

describe.skipIf(!canMount)(`as a service${canMount ? '' : ` (${why})`}`, () => {
  beforeEach(async () => {
    scene = new Scene();
    config = scene.config({ data: { regions: [{ device: './a.img' }], size: MIB } });
    mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', config);
  });
  afterEach(async () => {
    await scene.close();
  });

  /** What it has received so far, each message as its lines. */
  async function listen(name: string): Promise<() => readonly (readonly string[])[]> {
    let text = '';
    const listener = scene.spawn('python3', ['-c', LISTENER, name]);
    listener.stdout?.on('data', (data: Buffer) => (text += data.toString()));
    await until('the socket is bound', () => (text.includes('\n') ? true : undefined));
    return () =>
      text
        .split('\n')
        .slice(1, -1)
        .map((line) => (JSON.parse(line) as string).split('\n'));
  }

  it.each(['a path', 'an abstract name'])('tells %s that it is ready, alive and stopping', async (kind) => {
    const socket = kind === 'a path' ? scene.path('notify') : `@dmiofs-test-${String(process.pid)}`;
    const messages = await listen(socket);
    const daemon = scene.spawn('env', [
      `NOTIFY_SOCKET=${socket}`,
      'WATCHDOG_USEC=200000',
      DMIOFS,
      'mount',
      '--foreground',
      config,
      mountpoint,
    ]);
    const exit = new Promise<number | null>((resolve) => {
      daemon.on('exit', resolve);
    });
    await until('it is ready', () => (messages().length > 0 ? true : undefined));
    const pid = `MAINPID=${String(daemon.pid)}`; // env and the launcher have become it
    expect(messages()[0]).toEqual(['READY=1', 'STATUS=serving data', pid]);
    expect((await scene.status(mountpoint)).sets[0]?.name).toBe('data'); // ready means: the files can be used
    await until('it is alive twice', () => (messages().length > 2 ? true : undefined));
    expect(messages().slice(1, 3)).toEqual([
      ['WATCHDOG=1', pid],
      ['WATCHDOG=1', pid],
    ]);
    daemon.kill('SIGTERM');
    expect(await exit).toBe(0);
    const last = await until('it stops', () => messages().find(([first]) => first === 'STOPPING=1'));
    expect(last).toEqual(['STOPPING=1', 'STATUS=flushing', pid]);
  });

  it('serves without a manager, with one that does not listen, and with a watchdog that is another’s', async () => {
    const messages = await listen(scene.path('notify'));
    for (const env of [
      [`NOTIFY_SOCKET=${scene.path('nobody')}`],
      [`NOTIFY_SOCKET=${scene.path('notify')}`, 'WATCHDOG_USEC=50000', 'WATCHDOG_PID=1'],
    ]) {
      const daemon = scene.spawn('env', [...env, DMIOFS, 'mount', '--foreground', config, mountpoint]);
      const exit = new Promise<number | null>((resolve) => {
        daemon.on('exit', resolve);
      });
      await until('it serves', async () =>
        (await scene.status(mountpoint).catch(() => undefined)) === undefined ? undefined : true,
      );
      daemon.kill('SIGTERM');
      expect(await exit).toBe(0);
    }
    await until('it has stopped', () => (messages().at(-1)?.[0] === 'STOPPING=1' ? true : undefined));
    expect(messages().flat()).not.toContain('WATCHDOG=1');
  });
});
