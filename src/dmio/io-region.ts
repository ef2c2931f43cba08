/** IoRegion: a device, a start sector and a sector count (the kernel's struct io_region), and the checks of a list of them. */
import { DmiofsError } from '../errors.js';
import { BlockDevice } from './block-device.js';

export interface IoRegion {
  readonly bdev: BlockDevice;
  /** Start, in sectors of 512 bytes. */
  readonly sector: number;
  /** Sectors; 0 = the region is skipped. */
  readonly count: number;
}

export const SECTOR_SIZE = 512;
/** Bits in an error bitset. */
export const MAX_IO_REGIONS = 64;

export function invalid(message: string): DmiofsError {
  return new DmiofsError('ERR_DMIOFS_INVALID_ARG', message);
}

function checkSectors(value: unknown, name: string): void {
  if (typeof value !== 'number') throw invalid(`${name} must be a number of sectors, not ${typeof value}`);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw invalid(`${name} must be a whole number of sectors from 0 to 2^53 - 1, not ${String(value)}`);
  }
}

function checkRegion(region: IoRegion, name: string, writes: boolean): void {
  if (typeof region !== 'object' || (region as IoRegion | null) === null)
    throw invalid(`${name} must be an IoRegion`);
  const { bdev, sector, count } = region;
  if (!(bdev instanceof BlockDevice)) throw invalid(`${name}.bdev must be a BlockDevice`);
  if (bdev.closed) throw new DmiofsError('ERR_DMIOFS_CLOSED', `${name}.bdev (${bdev.path}) was closed`);
  checkSectors(sector, `${name}.sector`);
  checkSectors(count, `${name}.count`);
  if (writes && !bdev.writable) throw invalid(`${name}.bdev (${bdev.path}) was not opened writable`);
  if (count === 0) return;
  const block = bdev.logicalBlockSize / SECTOR_SIZE;
  if (sector % block !== 0)
    throw invalid(`${name}.sector must be a multiple of ${String(block)}: the logical block of ${bdev.path}`);
  if (count % block !== 0)
    throw invalid(`${name}.count must be a multiple of ${String(block)}: the logical block of ${bdev.path}`);
  if (sector + count > bdev.sectors) {
    throw invalid(
      `${name} ends at sector ${String(sector + count)}, beyond the end of ${bdev.path} at ${String(bdev.sectors)}`,
    );
  }
}

/** Throws what is wrong, naming the argument. Returns the longest region's bytes. */
export function checkRegions(regions: readonly IoRegion[], writes: boolean): number {
  if (!Array.isArray(regions)) throw invalid('regions must be an array of IoRegion');
  if (regions.length > MAX_IO_REGIONS)
    throw invalid(`regions has ${String(regions.length)} entries: ${String(MAX_IO_REGIONS)} at most`);
  for (const [index, region] of (regions as readonly IoRegion[]).entries())
    checkRegion(region, `regions[${String(index)}]`, writes);
  if (!writes && regions.length > 1)
    throw invalid(`regions has ${String(regions.length)} entries: a read takes one`);
  return Math.max(0, ...regions.map(({ count }) => count * SECTOR_SIZE));
}
