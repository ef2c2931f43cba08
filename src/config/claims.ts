/** Which bytes of which disk or file a config claims, for its I/O regions and its logs: no two claims may overlap. */
import type { DeviceProbe } from '../native/device.js';
import { formatSize } from '../util/size.js';
import { type Extent, extentOf, overlap } from './block-devices.js';
import { realPath } from './places.js';
import { formatPath, type KeyPath } from './positions.js';

/** The length of a file that grows as it must. */
export const NO_END = Number.MAX_SAFE_INTEGER;

export interface Claim {
  readonly path: KeyPath;
  /** What is claimed, for a message. */
  readonly what: string;
  readonly device: string;
  /** undefined: it could not be looked at. */
  readonly probe: DeviceProbe | undefined;
  /** Bytes. */
  readonly start: number;
  /** Bytes, or {@link NO_END}. */
  readonly length: number;
  /** Of a set that will run: what overlaps it is told. */
  readonly wanted: boolean;
}

const extentOfClaim = ({ device, probe, start, length }: Claim): Extent =>
  probe === undefined
    ? { key: `path:${realPath(device)}`, start, end: start + length }
    : extentOf(probe, start, length);

export class Claims {
  readonly #claims: (Claim & { readonly extent: Extent })[] = [];

  add(claim: Claim): void {
    this.#claims.push({ ...claim, extent: extentOfClaim(claim) });
  }

  /** Refuses each claim that overlaps one before it. */
  checkOverlaps(refuse: (path: KeyPath, message: string) => void): void {
    for (const [index, claim] of this.#claims.entries()) {
      const other = this.#claims
        .slice(0, index)
        .find((before) => (before.wanted || claim.wanted) && overlap(before.extent, claim.extent));
      if (other === undefined) continue;
      const end = Math.min(claim.extent.end, other.extent.end);
      // A log that is no device has no end.
      const by =
        end === NO_END ? '' : ` by ${formatSize(end - Math.max(claim.extent.start, other.extent.start))}`;
      refuse(
        claim.path,
        `overlaps ${formatPath(other.path)} (${other.what})${by}: each I/O region and each log needs its own place`,
      );
    }
  }
}
