// Writes one buffer to three devices at once and prints which of them failed.
//
//   node docs/examples/mirror-buffer.mjs DEVICE DEVICE DEVICE
//
// The devices' first megabyte is overwritten.
import { BlockDevice, dmIoVm, flush, WRITE } from 'dmiofs/dmio';

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('usage: mirror-buffer.mjs DEVICE...');
  process.exit(2);
}
const devices = await Promise.all(paths.map((path) => BlockDevice.open(path, { writable: true })));
const regions = devices.map((bdev) => ({ bdev, sector: 0, count: 2048 }));

const data = Buffer.alloc(1024 * 1024, 'mirrored ');
const { errorBits, errnos } = await dmIoVm(regions, WRITE, data);
await flush(regions);

for (const [index, path] of paths.entries()) {
  const failed = (errorBits >> BigInt(index)) & 1n;
  console.log(`${path}: ${failed === 1n ? `failed, errno ${errnos[index]}` : 'written'}`);
}
await Promise.all(devices.map((bdev) => bdev.close()));
process.exitCode = errorBits === 0n ? 0 : 1;
