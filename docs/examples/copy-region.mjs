// Copies a region as dm-kcopyd does: one read, one write to all destinations, a bounded number of pieces in flight, and nothing is
// written that could not be read.
//
//   node docs/examples/copy-region.mjs SECTORS SOURCE DESTINATION...
import {
  BlockDevice,
  dmIoGet,
  dmIoPut,
  dmIoVm,
  flush,
  PAGE_SIZE,
  READ,
  SECTOR_SIZE,
  WRITE,
} from 'dmiofs/dmio';

const PIECE = 1024; // sectors: 512 KiB, dm-kcopyd's sub-job
const IN_FLIGHT = 8;

const [sectors, sourcePath, ...destinationPaths] = process.argv.slice(2);
const total = Number(sectors);
if (!Number.isSafeInteger(total) || destinationPaths.length === 0) {
  console.error('usage: copy-region.mjs SECTORS SOURCE DESTINATION...');
  process.exit(2);
}
const source = await BlockDevice.open(sourcePath, { writable: false });
const destinations = await Promise.all(
  destinationPaths.map((path) => BlockDevice.open(path, { writable: true })),
);
const pages = (IN_FLIGHT * PIECE * SECTOR_SIZE) / PAGE_SIZE;
dmIoGet(pages);

let next = 0;
let readErrors = 0;
let writeErrors = 0n;
async function worker() {
  const buffer = Buffer.alloc(PIECE * SECTOR_SIZE);
  while (next < total) {
    const sector = next;
    const count = Math.min(PIECE, total - sector);
    next += count;
    const read = await dmIoVm([{ bdev: source, sector, count }], READ, buffer);
    if (read.error !== 0) {
      readErrors++;
      continue; // a failed read leaves zeros: they must not be copied
    }
    const written = await dmIoVm(
      destinations.map((bdev) => ({ bdev, sector, count })),
      WRITE,
      buffer,
    );
    writeErrors |= written.errorBits;
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
await flush(destinations.map((bdev) => ({ bdev, sector: 0, count: 0 })));

dmIoPut(pages);
await Promise.all([source, ...destinations].map((bdev) => bdev.close()));
console.log(
  `copied ${total} sectors: ${readErrors} pieces unreadable, write errors 0x${writeErrors.toString(16)}`,
);
process.exitCode = readErrors === 0 && writeErrors === 0n ? 0 : 1;
