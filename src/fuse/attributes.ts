/** The extended attributes `user.dmio.*`: which there are, and their values. */
import {
  legText,
  type MountSummary,
  mountStatusText,
  type SetStatus,
  statusText,
  syncText,
} from '../mirror/status.js';

type SetAttribute = readonly [name: string, value: (set: SetStatus) => string];

const SET_ATTRIBUTES: readonly SetAttribute[] = [
  ['user.dmio.status', statusText],
  ['user.dmio.error_bits', (set) => set.error_bits],
  ['user.dmio.error_bits.read', (set) => set.error_bits_read],
  ['user.dmio.error_bits.write', (set) => set.error_bits_write],
  ['user.dmio.error_bits.flush', (set) => set.error_bits_flush],
  ['user.dmio.health', (set) => set.health],
  ['user.dmio.sync', syncText],
  ['user.dmio.json', (set) => JSON.stringify(set)],
];

export const CONTROL_ATTRIBUTE = 'user.dmio.control';
const LEG_PREFIX = 'user.dmio.leg.';

/** Names that can be read: what `getfattr -d` asks for. `user.dmio.control` is write-only and not among them. */
export function setAttributeNames(legs: number): readonly string[] {
  return [
    ...SET_ATTRIBUTES.map(([name]) => name),
    ...Array.from({ length: legs }, (_, leg) => `${LEG_PREFIX}${String(leg)}`),
  ];
}

/** undefined: there is no such attribute. */
export function setAttribute(set: SetStatus, name: string): string | undefined {
  const known = SET_ATTRIBUTES.find(([attribute]) => attribute === name);
  if (known !== undefined) return known[1](set);
  const index = name.startsWith(LEG_PREFIX) ? name.slice(LEG_PREFIX.length) : '';
  const leg = /^(0|[1-9][0-9]?)$/.test(index) ? set.legs[Number(index)] : undefined;
  return leg === undefined ? undefined : legText(leg);
}

export const MOUNT_ATTRIBUTE_NAMES: readonly string[] = ['user.dmio.status', 'user.dmio.json'];

export function mountAttribute(mount: MountSummary, name: string): string | undefined {
  switch (name) {
    case 'user.dmio.status':
      return mountStatusText(mount);
    case 'user.dmio.json':
      return JSON.stringify(mount);
    default:
      return undefined;
  }
}
