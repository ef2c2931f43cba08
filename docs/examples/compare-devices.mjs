// Compares two devices and prints the sectors that differ.
//
//   node docs/examples/compare-devices.mjs DEVICE DEVICE
import { BlockDevice, dmIoVm, READ, SECTOR_SIZE } from 'dmiofs/dmio';

if (process.argv.length !== 4) {
  console.error('usage: compare-devices.mjs DEVICE DEVICE');
  process.exit(2);
}
const PIECE = 2048; // sectors
const [a, b] = await Promise.all(
  process.argv.slice(2, 4).map((path) => BlockDevice.open(path, { writable: false })),
);
const total = Math.min(a.sectors, b.sectors);
const buffers = [Buffer.alloc(PIECE * SECTOR_SIZE), Buffer.alloc(PIECE * SECTOR_SIZE)];

let differing = 0;
for (let sector = 0; sector < total; sector += PIECE) {
  const count = Math.min(PIECE, total - sector);
  const reads = await Promise.all(
    [a, b].map((bdev, index) => dmIoVm([{ bdev, sector, count }], READ, buffers[index])),
  );
  if (reads.some(({ error }) => error !== 0))
    throw new Error(`sectors ${sector} to ${sector + count - 1} cannot be read`);
  for (let at = 0; at < count; at++) {
    const range = [at * SECTOR_SIZE, (at + 1) * SECTOR_SIZE];
    if (buffers[0].compare(buffers[1], ...range, ...range) === 0) continue;
    console.log(`sector ${sector + at} differs`);
    differing++;
  }
}
await Promise.all([a.close(), b.close()]);
console.log(`${differing} of ${total} sectors differ`);
process.exitCode = differing === 0 ? 0 : 1;
