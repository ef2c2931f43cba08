/** A user who is not root mounts, steers and unmounts a set of his own images; others do not. (By fstab: mount-helper.test.ts.) */
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, legBytes, MIB, must, Scene, sh } from '../helpers/mounted.js';

const hasUsers = ['fusermount3', 'setpriv', 'unshare'].every(
  (program) => existsSync(`/usr/bin/${program}`) || existsSync(`/bin/${program}`),
);
const [OWNER, OTHER] = [65534, 65533];

let scene: Scene;
afterEach(async () => {
  await scene.close();
});

/** Runs it in a mount namespace of its own where /dev/fuse is open to all, as on any machine with udev, and `allow_other` as well. */
function asUsers(home: string, script: string): Promise<string> {
  const conf = scene.path('fuse.conf');
  return must(
    'unshare',
    '--mount',
    '--propagation=private',
    'bash',
    '-euo',
    'pipefail',
    '-c',
    `
    mount -t tmpfs tmpfs /mnt; mknod -m 666 /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse
    echo user_allow_other > ${conf}; touch /etc/fuse.conf; mount --bind ${conf} /etc/fuse.conf
    user() { setpriv --reuid "$1" --regid "$1" --clear-groups env HOME=${home} "\${@:2}"; }
    owner() { user ${String(OWNER)} "$@"; }
    other() { user ${String(OTHER)} "$@"; }
    refused() { if "$@" 2>&1; then echo "not refused: $*"; exit 1; fi; }
    trap 'umount -l ${home}/mnt 2>/dev/null || true' EXIT
    ${script}`,
  );
}

describe.skipIf(!canMount || !hasUsers)('a user who is not root', () => {
  it.each(['fusermount3', 'fusermount'])(
    'mounts, steers and unmounts a set of his own, by %s',
    async (helper) => {
      scene = new Scene();
      chmodSync(scene.dir, 0o755);
      const home = scene.folder('home');
      const config = scene.config(
        {
          data: {
            regions: [{ device: './home/a.img' }, { device: './home/b.img' }],
            size: MIB,
            mode: '0666',
          },
        },
        { state_dir: './home/state' },
      );
      const point = join(home, 'mnt');
      scene.folder('home/mnt');
      await sh(`chown -R ${String(OWNER)}:${String(OWNER)} ${home}`);
      const out = await asUsers(
        home,
        `
      owner ${DMIOFS} init ${config}
      owner ${DMIOFS} mount ${config} ${point} -o allow_other
      findmnt -no OPTIONS ${point}
      other sh -c 'printf other | dd of=${point}/data conv=notrunc status=none'
      refused other ${DMIOFS} fail ${point}/data 1
      refused other ${DMIOFS} scrub ${point}/data --repair
      refused other ${DMIOFS} umount ${point}
      refused other umount ${point}
      owner ${DMIOFS} status ${point}
      owner ${DMIOFS} fail ${point}/data 1
      owner ${DMIOFS} re-add ${point}/data 1
      owner ${DMIOFS} wait ${point}/data
      owner ${DMIOFS} umount ${point}
      refused mountpoint ${point}
      owner ${DMIOFS} mount ${config} ${point}
      refused other cat ${point}/data
      refused cat ${point}/data
      pid=$(owner ${DMIOFS} status --json ${point} | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')
      owner ${helper} -u ${point}
      timeout 20 tail --pid=$pid -f /dev/null
      `,
      );
      expect(out).toContain(`user_id=${String(OWNER)}`);
      expect(out).toContain('allow_other');
      expect(out).toContain('default_permissions');
      expect(out).toContain('Permission denied');
      for (const name of ['a.img', 'b.img']) expect(legBytes(join(home, name), 5).toString()).toBe('other');
    },
  );
});
