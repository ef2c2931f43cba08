/** What keeps a mount from being made, for people: libfuse only says that it failed. Looked at after a failure. */
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';

/** Device 10:229 as stat shows it (kernel: miscdevice.h, FUSE_MINOR). */
const FUSE_DEVICE = 10 * 256 + 229;
/** Bit of CAP_SYS_ADMIN in CapEff. */
const SYS_ADMIN = 21n;

const GIVE = 'give it to the container (--device /dev/fuse)';

/** undefined: it can be opened, and is the one. */
export function whyNoDevice(device = '/dev/fuse'): string | undefined {
  try {
    if (statSync(device).rdev !== FUSE_DEVICE) return `${device} is not the FUSE device (10:229): ${GIVE}`;
    closeSync(openSync(device, 'r+'));
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOENT') return `there is no ${device}: load the fuse module (modprobe fuse), or ${GIVE}`;
    if (code === 'EACCES' || code === 'EPERM')
      return `${device} may not be opened (${code}): be root, or ${GIVE}`;
    return `${device} cannot be opened: ${code}`;
  }
}

function mayMount(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective === undefined || ((BigInt(`0x${effective}`) >> SYS_ADMIN) & 1n) === 1n;
}

/** undefined: nothing is known to be in the way. */
export function whyNoMount(
  uid = process.geteuid?.() ?? 0,
  device?: string,
  status = readFileSync('/proc/self/status', 'utf8'),
): string | undefined {
  const reason = whyNoDevice(device);
  // Who is not root mounts by fusermount3, which opens the device itself.
  if (uid !== 0)
    return reason ?? 'who is not root needs fusermount3 (package fuse3) and a mountpoint of his own';
  if (reason !== undefined || mayMount(status)) return reason;
  return 'mount(2) is not permitted here (no CAP_SYS_ADMIN): in a container --cap-add SYS_ADMIN';
}
