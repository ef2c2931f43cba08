// Takes back what tests may leave behind: processes, mounts and loop devices that belong to one run's folder, and nothing else.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function quietly(action) {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

/** Octal escapes of /proc/self/mountinfo. */
const unescape = (text) =>
  text.replace(/\\([0-7]{3})/g, (_all, digits) => String.fromCharCode(parseInt(digits, 8)));

/** Mounts at or under the folder, or of a file in it; the last made first. */
function mountsUnder(folder) {
  const inside = (path) => path === folder || path.startsWith(`${folder}/`);
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const dash = fields.indexOf('-');
      return {
        minor: fields[2].split(':')[1],
        point: unescape(fields[4]),
        type: fields[dash + 1],
        source: unescape(fields[dash + 2] ?? ''),
      };
    })
    .filter((mount) => inside(mount.point) || inside(mount.source))
    .reverse();
}

/** Processes that carry the run's folder in their environment: its daemons too, which left the run's process group. */
function processesOf(folder) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(`DMIOFS_TEST_TMP=${folder}`))
    .map(Number);
}

function loopsOver(folder) {
  return readdirSync('/sys/block').filter(
    (name) =>
      name.startsWith('loop') && read(`/sys/block/${name}/loop/backing_file`).startsWith(`${folder}/`),
  );
}

/** Returns a line for each thing that was left behind. */
export function cleanup(folder) {
  const left = [];
  const run = (command, ...args) =>
    spawnSync(command, args, { timeout: 20_000, stdio: 'ignore' }).status === 0;
  for (const mount of mountsUnder(folder)) {
    left.push(`mount ${mount.point} (${mount.type})`);
    // A process blocked on a FUSE mount whose daemon hangs can be ended in no other way.
    if (mount.type.startsWith('fuse')) {
      quietly(() => writeFileSync(`/sys/fs/fuse/connections/${mount.minor}/abort`, '1'));
    }
    if (!run('umount', mount.point)) run('umount', '-l', mount.point);
  }
  for (const pid of processesOf(folder)) {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
    if (quietly(() => process.kill(pid, 'SIGKILL'))) left.push(`process ${pid} (${command.slice(0, 120)})`);
  }
  for (const name of loopsOver(folder)) {
    left.push(`loop device /dev/${name}`);
    run('losetup', '-d', `/dev/${name}`);
  }
  quietly(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return left;
}
