/** The process's engine, chosen before the first I/O; without a choice it is `auto`. */
import { native } from '../native/binding.js';
import type { EngineKind, FaultRule, IoInfo } from '../native/io.js';

export type { EngineKind, FaultRule, IoInfo } from '../native/io.js';

/** Throws EALREADY once I/O has been done. `faults`: failures can be rehearsed with {@link addFault}. */
export function configureDmIo(options: { readonly engine?: EngineKind; readonly faults?: boolean }): IoInfo {
  return native().openIo({ engine: options.engine ?? 'auto', faults: options.faults ?? false });
}

/** Adds a rule of the fault engine; its id is for {@link removeFault}. */
export const addFault = (rule: FaultRule): number => native().faultAdd(rule);
/** What the rule made hang goes to the device. */
export const removeFault = (id: number): boolean => native().faultRemove(id);
export const clearFaults = (): void => {
  native().faultClear();
};
