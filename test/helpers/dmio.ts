/** Devices for the tests of the dm-io API: image files of a folder of their own, and what they hold. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockDevice, type PageList } from '../../src/dmio/index.js';

export class Disks {
  readonly dir = mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmio-'));
  readonly #open: BlockDevice[] = [];

  path(name: string): string {
    return join(this.dir, name);
  }

  async disk(name: string, sectors: number, fill = 0): Promise<BlockDevice> {
    writeFileSync(this.path(name), Buffer.alloc(sectors * 512, fill));
    const bdev = await BlockDevice.open(this.path(name), { writable: true });
    this.#open.push(bdev);
    return bdev;
  }

  bytes(name: string, sector = 0, count?: number): Buffer {
    const data = readFileSync(this.path(name));
    return data.subarray(sector * 512, count === undefined ? undefined : (sector + count) * 512);
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((bdev) => bdev.close()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A page list over new pages; `bytes` is written from `offset` of the first. */
export function pageList(bytes: Uint8Array, offset = 0): { list: PageList; read: () => Buffer } {
  const pages = Math.max(1, Math.ceil((bytes.byteLength + offset) / 4096));
  const memory = Buffer.alloc(pages * 4096);
  memory.set(bytes, offset);
  let list: PageList | null = null;
  for (let page = pages - 1; page >= 0; page--)
    list = { page: memory.subarray(page * 4096, (page + 1) * 4096), next: list };
  if (list === null) throw new Error('no pages');
  return { list, read: () => memory.subarray(offset, offset + bytes.byteLength) };
}

export function pattern(bytes: number, seed: number): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 4)
    data.writeUInt32LE((Math.imul(seed + 1, 2654435761) ^ Math.imul(at + 7, 40503)) >>> 0, at);
  return data;
}
