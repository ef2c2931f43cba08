// Where legs lie: `disk` (a folder) and `memory` (tmpfs, through loop devices where tmpfs has no O_DIRECT).
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from './processes.mjs';
import { onEnd, workFolder } from './undo.mjs';

export const PLACES = [
  { name: 'disk', what: 'image files on the disk of this checkout, or of --disk' },
  { name: 'memory', what: 'image files on tmpfs' },
];
const TMPFS_MAGIC = 0x01021994;
const MIB = 1024 * 1024;

/** Content that no layer below can leave out, the same for each leg: they are a mirror in sync. */
function block() {
  const data = Buffer.allocUnsafe(MIB);
  let state = 1;
  for (let at = 0; at < MIB; at += 4) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data.writeUInt32LE(state, at);
  }
  return data;
}

export class Place {
  #name;
  #folder;
  #direct;
  #bytes;

  constructor(name, parent, bytes) {
    this.#name = name;
    this.#bytes = bytes;
    this.#folder = workFolder(parent, 'dmiofs-bench');
    this.#direct = this.#hasDirect();
    if (name === 'memory' && statfsSync(parent).type !== TMPFS_MAGIC) {
      process.stderr.write(`bench: ${parent} is not a tmpfs: "memory" is what it is\n`);
    }
  }

  get name() {
    return this.#name;
  }
  get folder() {
    return this.#folder;
  }
  /** Bytes of each leg. */
  get bytes() {
    return this.#bytes;
  }
  /** How legs lie here, for the report. */
  get kind() {
    const { type } = statfsSync(this.#folder);
    const system = { 0xef53: 'ext4', 0x01021994: 'tmpfs', 0x58465342: 'xfs', 0x9123683e: 'btrfs' }[type];
    return `${system ?? `file system 0x${type.toString(16)}`}${this.#direct ? '' : ', loop devices'}`;
  }

  path(name) {
    return join(this.#folder, name);
  }

  #hasDirect() {
    const probe = this.path('probe');
    try {
      closeSync(openSync(probe, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600));
      return true;
    } catch {
      return false;
    } finally {
      rmSync(probe, { force: true });
    }
  }

  /** A leg with content on all of it (or without any: `sparse`); its path, and the step that takes it away. */
  async leg(name, { bytes = this.#bytes, sparse = false } = {}) {
    const path = this.path(name);
    const remove = onEnd(() => rmSync(path, { force: true }));
    const fd = openSync(path, 'w', 0o600);
    try {
      ftruncateSync(fd, bytes);
      if (!sparse) {
        const data = block();
        for (let at = 0; at < bytes; at += MIB) {
          data.writeUInt32LE(at / MIB, 0);
          writeSync(fd, data, 0, Math.min(MIB, bytes - at), at);
        }
        fsyncSync(fd);
      }
    } finally {
      closeSync(fd);
    }
    if (this.#direct) return { path, remove };
    const device = (await run('losetup', ['--find', '--show', '--direct-io=off', path])).trim();
    const detach = onEnd(() => run('losetup', ['--detach', device]));
    return {
      path: device,
      remove: async () => {
        await detach();
        await remove();
      },
    };
  }

  async legs(name, count, options) {
    const legs = [];
    for (let index = 0; index < count; index++) legs.push(await this.leg(`${name}-leg${index}.img`, options));
    return legs;
  }
}
