/** The extended attributes `user.dmio.*`: which there are, and their values. */
import type { EventList } from '../mirror/event.js';
import {
  legText,
  metricsText,
  type MountSummary,
  mountStatusText,
  type SetStatus,
  statusText,
  syncText,
} from '../mirror/status.js';
import { scrubText } from '../mirror/scrub.js';
import type { ScrubPage } from '../mirror/scrub-schema.js';
import type { SyncMapText } from '../mirror/sync-map.js';
import type { LegTotals } from '../native/set-snapshot.js';

/** What the attributes of a set's file are made of. */
export interface AttributeSource {
  readonly status: () => SetStatus;
  readonly map: () => SyncMapText;
  readonly statistics: () => readonly LegTotals[];
  readonly events: () => EventList;
  /** undefined: there was none since the mount. */
  readonly scrub: (first: number) => ScrubPage | undefined;
}

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
const METRICS_PREFIX = 'user.dmio.metrics.';
const EVENTS_ATTRIBUTE = 'user.dmio.events';
const MAP_ATTRIBUTE = 'user.dmio.map';
const SCRUB_ATTRIBUTE = 'user.dmio.scrub';
export const SCRUB_JSON_ATTRIBUTE = 'user.dmio.scrub.json';

/** Names that can be read: what `getfattr -d` asks for. `user.dmio.control` is write-only and not among them. */
export function setAttributeNames(legs: number, scrubbed: boolean): readonly string[] {
  return [
    ...SET_ATTRIBUTES.map(([name]) => name),
    EVENTS_ATTRIBUTE,
    MAP_ATTRIBUTE,
    ...(scrubbed ? [SCRUB_ATTRIBUTE, SCRUB_JSON_ATTRIBUTE] : []),
    ...[LEG_PREFIX, METRICS_PREFIX].flatMap((prefix) =>
      Array.from({ length: legs }, (_, leg) => `${prefix}${String(leg)}`),
    ),
  ];
}

const legIndex = (name: string, prefix: string): number | undefined => {
  const index = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  return /^(0|[1-9][0-9]?)$/.test(index) ? Number(index) : undefined;
};

/** `user.dmio.scrub` in a line; `user.dmio.scrub.json` and, from range N on, `user.dmio.scrub.json.N`. */
function scrubAttribute(source: AttributeSource, name: string): string | undefined {
  const found = /^user\.dmio\.scrub(\.json(?:\.(0|[1-9][0-9]{0,5}))?)?$/.exec(name);
  const page = found === null ? undefined : source.scrub(Number(found[2] ?? 0));
  if (page === undefined) return undefined;
  return found?.[1] === undefined ? scrubText(page) : JSON.stringify(page);
}

/** undefined: there is no such attribute. */
export function setAttribute(source: AttributeSource, name: string): string | undefined {
  const known = SET_ATTRIBUTES.find(([attribute]) => attribute === name);
  if (known !== undefined) return known[1](source.status());
  if (name === EVENTS_ATTRIBUTE) return JSON.stringify(source.events());
  if (name === MAP_ATTRIBUTE) return JSON.stringify(source.map());
  if (name.startsWith(SCRUB_ATTRIBUTE)) return scrubAttribute(source, name);
  const measured = legIndex(name, METRICS_PREFIX);
  const totals = measured === undefined ? undefined : source.statistics()[measured];
  if (totals !== undefined) return metricsText(totals);
  const index = legIndex(name, LEG_PREFIX);
  const leg = index === undefined ? undefined : source.status().legs[index];
  return leg === undefined ? undefined : legText(leg);
}

export const MOUNT_ATTRIBUTE_NAMES: readonly string[] = [
  'user.dmio.status',
  'user.dmio.json',
  EVENTS_ATTRIBUTE,
];

/** The same of the mountpoint. */
export function mountAttribute(
  status: () => MountSummary,
  events: () => EventList,
  name: string,
): string | undefined {
  switch (name) {
    case 'user.dmio.status':
      return mountStatusText(status());
    case 'user.dmio.json':
      return JSON.stringify(status());
    case EVENTS_ATTRIBUTE:
      return JSON.stringify(events());
    default:
      return undefined;
  }
}
