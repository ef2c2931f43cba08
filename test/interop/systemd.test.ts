/**
 * The units: checked by systemd-analyze, and a machine booted with them by systemd-nspawn, over a copy-on-write view of this one that holds an
 * installation: what starts at boot, a daemon that is killed, a stop, the scrub, and what a clean shutdown leaves.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canMount, run, Scene } from '../helpers/mounted.js';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const has = (program: string): boolean => existsSync(`/usr/bin/${program}`) || existsSync(`/bin/${program}`);

describe.skipIf(!has('systemd-analyze'))('the units (systemd-analyze is not here: package systemd)', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(async () => {
    await scene.close();
  });

  it('are right for systemd-analyze verify, as they are installed', async () => {
    // Without a real root a path of the prefix cannot be found: the units name programs that are there.
    const units = scene.folder('units');
    const source = join(TOP, 'config/systemd');
    for (const name of readdirSync(source)) {
      const text = readFileSync(join(source, name), 'utf8');
      writeFileSync(join(units, name), text.replaceAll('/usr/local/bin/', join(TOP, 'bin/')));
    }
    const names = [
      'dmiofs@data.service',
      'dmiofs-scrub@data.service',
      'dmiofs-scrub@data.timer',
      'dmiofs-monitor.service',
      'srv-data.mount',
    ];
    const { code, stderr } = await run('systemd-analyze', [
      'verify',
      '--man=no',
      ...names.map((name) => join(units, name)),
    ]);
    expect(stderr.split('\n').filter((line) => line.includes(units))).toEqual([]);
    expect(code, stderr).toBe(0);
    writeFileSync(join(units, 'dmiofs@.service'), '[Service]\nExecStart=/no/such/program\nBogus=1\n');
    const broken = await run('systemd-analyze', ['verify', '--man=no', join(units, 'dmiofs@data.service')]);
    expect(broken.stderr).toContain('Bogus');
  });

  it('give the unit no mount namespace, in which nobody would see the mount', () => {
    const unit = readFileSync(join(TOP, 'config/systemd/dmiofs@.service'), 'utf8');
    expect(unit).not.toMatch(
      /^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|TemporaryFileSystem|Bind|Dynamic)/m,
    );
  });
});

/** Why no machine can be booted here; undefined: one can. */
function whyNoBoot(): string | undefined {
  if (!canMount) return 'needs root and /dev/fuse';
  if (!has('systemd-nspawn')) return 'needs systemd-nspawn: package systemd-container';
  if (!existsSync('/lib/systemd/systemd')) return 'needs systemd';
  const script =
    'mount -t tmpfs t /mnt && cd /mnt && mkdir u w r && mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w r';
  const { status } = spawnSync('unshare', ['--mount', '--propagation=private', 'sh', '-c', script]);
  return status === 0 ? undefined : 'needs overlayfs over /';
}
const noBoot = whyNoBoot();

/** Boots, runs the probe, powers off; what the probe printed is in /probe.log. Everything is in a mount namespace of its own. */
const BOOT = `
set -eu
scene=$1 top=$2
mount -t tmpfs tmpfs "$scene/machine"
cd "$scene/machine"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
"$top/scripts/install" --destdir="$PWD/root" >/dev/null
# Only what is tested here is started.
rm -f root/etc/systemd/system/*.wants/* root/etc/machine-id
: >root/etc/machine-id
cp -r "$scene/files/." root/
mkdir -p root/etc/systemd/system/multi-user.target.wants root/srv/tab root/srv/data
for unit in probe.service srv-data.mount; do
  ln -s "../$unit" "root/etc/systemd/system/multi-user.target.wants/$unit"
done
ln -s /usr/local/lib/systemd/system/dmiofs@.service root/etc/systemd/system/multi-user.target.wants/dmiofs@service.service
ln -sf /lib/systemd/system/multi-user.target root/etc/systemd/system/default.target
mkdir -p root/var/images
mount -t proc proc root/proc
for name in tab data service; do
  chroot root /usr/local/bin/dmiofs init "/etc/dmiofs/$name.yaml" >/dev/null
done
umount root/proc
timeout 150 systemd-nspawn --quiet --directory=root --boot --register=no --keep-unit --bind=/dev/fuse --capability=all \\
  --console=pipe --link-journal=no </dev/null >"$scene/console" 2>&1 || true
cat root/probe.err >>"$scene/console"
cp root/probe.log "$scene/probe.log"
cp -r root/var/images "$scene/"
`;

const PROBE = `
step() { echo "== $1"; }
state() { systemctl show -P ActiveState "$1"; }
step boot
for name in tab data; do findmnt -no FSTYPE,SOURCE "/srv/$name"; done
findmnt -no FSTYPE,SOURCE /run/dmiofs/service
for unit in srv-tab.mount srv-data.mount dmiofs@service; do state $unit; done
for file in /srv/tab/tab /srv/data/data /run/dmiofs/service/service; do
  printf acknowledged | dd of=$file conv=notrunc,fsync status=none
done
step hardening
pid=$(systemctl show -P MainPID dmiofs@service)
grep -E '^(NoNewPrivs|Seccomp):' /proc/$pid/status
systemctl show -P OOMScoreAdjust dmiofs@service
step killed
systemctl kill -s KILL dmiofs@service
until [ "$(systemctl show -P NRestarts dmiofs@service)" = 1 ] && [ "$(state dmiofs@service)" = active ]; do sleep 0.1; done
head -c 12 /run/dmiofs/service/service
echo
step stopped
systemctl stop dmiofs@service
state dmiofs@service
findmnt -n /run/dmiofs/service || echo nothing mounted
systemctl show -P Result dmiofs@service
step 'killed for good'
systemctl start dmiofs@service
mkdir -p /run/systemd/system/dmiofs@service.service.d
printf '[Service]\\nRestart=no\\n' >/run/systemd/system/dmiofs@service.service.d/no.conf
systemctl daemon-reload
systemctl kill -s KILL dmiofs@service
until [ "$(state dmiofs@service)" = failed ]; do sleep 0.1; done
findmnt -n /run/dmiofs/service || echo nothing mounted
step 'mount unit stopped'
systemctl stop srv-data.mount
findmnt -n /srv/data || echo nothing mounted
systemctl show -P Result srv-data.mount
systemctl start srv-data.mount
head -c 12 /srv/data/data
echo
step timer
systemctl start dmiofs-scrub@service.timer
state dmiofs-scrub@service.timer
step end
`;

const UNIT = `
[Unit]
After=local-fs.target dmiofs@service.service srv-data.mount srv-tab.mount
[Service]
Type=oneshot
ExecStart=/bin/bash /probe.sh
StandardOutput=file:/probe.log
StandardError=file:/probe.err
ExecStopPost=/bin/systemctl --no-block poweroff
TimeoutStartSec=100
`;

describe.skipIf(noBoot !== undefined)(
  `a machine booted with the units${noBoot === undefined ? '' : ` (${noBoot})`}`,
  () => {
    let scene: Scene;
    let log: string;
    const step = (name: string): readonly string[] => {
      const [, after = ''] = log.split(`== ${name}\n`);
      return (after.split('\n== ')[0] ?? '')
        .trim()
        .split('\n')
        .map((line) => line.trim().replace(/ +/g, ' '));
    };

    beforeAll(async () => {
      scene = new Scene();
      scene.folder('machine');
      const put = (path: string, text: string): void => {
        const to = join(scene.dir, 'files', path);
        mkdirSync(join(to, '..'), { recursive: true });
        writeFileSync(to, text);
      };
      for (const name of ['tab', 'data', 'service']) {
        const regions = ['a', 'b'].map((leg) => ({ device: `/var/images/${name}-${leg}.img` }));
        put(
          `etc/dmiofs/${name}.yaml`,
          stringify({ version: 1, sets: { [name]: { regions, size: '4MiB' } } }),
        );
      }
      // The line of docs/operations.md.
      const [line] =
        /^\/etc\/dmiofs\/data\.yaml .*$/m.exec(readFileSync(join(TOP, 'docs/operations.md'), 'utf8')) ?? [];
      if (line === undefined) throw new Error('docs/operations.md has no line for /etc/fstab');
      put('etc/fstab', `${line.replaceAll('data', 'tab')}\n`);
      put(
        'etc/systemd/system/srv-data.mount',
        readFileSync(join(TOP, 'config/systemd/srv-data.mount'), 'utf8'),
      );
      put('etc/systemd/system/probe.service', UNIT);
      put('probe.sh', PROBE);
      const args = ['--mount', '--propagation=private', 'bash', '-c', BOOT, 'boot', scene.dir, TOP];
      const { code, stderr } = await run('unshare', args, { timeout: 170_000 });
      const console = scene.path('console');
      expect(code, `${stderr}\n${existsSync(console) ? readFileSync(console, 'utf8') : ''}`).toBe(0);
      log = readFileSync(scene.path('probe.log'), 'utf8');
    });
    afterAll(async () => {
      await scene.close();
    });

    it('has the line of fstab, the mount unit and the service mounted', () => {
      expect(step('boot')).toEqual([
        'fuse.dmiofs /etc/dmiofs/tab.yaml',
        'fuse.dmiofs /etc/dmiofs/data.yaml',
        'fuse.dmiofs /etc/dmiofs/service.yaml',
        'active',
        'active',
        'active',
      ]);
    });

    it('runs the service with few rights, and ends it last when memory is short', () => {
      expect(step('hardening')).toEqual(['NoNewPrivs:\t1', 'Seccomp:\t2', '-900']);
    });

    it('starts a daemon that was killed again; what was acknowledged is there', () => {
      expect(step('killed')).toEqual(['acknowledged']);
    });

    it('leaves nothing mounted: after a stop, and after a daemon that was killed and is not to come back', () => {
      expect(step('stopped')).toEqual(['inactive', 'nothing mounted', 'success']);
      expect(step('killed for good')).toEqual(['nothing mounted']);
    });

    it('ends and starts a mount unit; its daemon is not cut short', () => {
      expect(step('mount unit stopped')).toEqual(['nothing mounted', 'success', 'acknowledged']);
    });

    it('runs the timer', () => {
      expect(step('timer')).toEqual(['active']);
      expect(log).toContain('== end');
    });

    it('shuts down cleanly: both legs of what was mounted hold what was written', () => {
      for (const name of ['tab', 'data', 'service'])
        for (const leg of ['a', 'b'])
          expect([
            name,
            leg,
            readFileSync(scene.path(`images/${name}-${leg}.img`))
              .subarray(0, 12)
              .toString(),
          ]).toEqual([name, leg, 'acknowledged']);
    });
  },
);
