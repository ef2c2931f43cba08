/** Metrics: figures that were measured elsewhere, as prom-client writes them. What they are called and mean: metrics-text.ts. */
import { Counter, Gauge, Histogram, type MetricValueWithName, Registry } from 'prom-client';
import { LATENCY_BOUNDS, type LegTotals } from '../../native/set-snapshot.js';

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export type Labels = Readonly<Record<string, string | number>>;

/** Operations that were counted and timed elsewhere; prom-client's own can only observe one after the other. */
class CountedHistogram extends Histogram {
  readonly #about: { readonly name: string; readonly help: string };
  readonly #values: MetricValueWithName<string>[] = [];

  constructor(about: { readonly name: string; readonly help: string; readonly registers: Registry[] }) {
    super(about);
    this.#about = about;
  }

  add(labels: Labels, { seconds, buckets }: LegTotals[keyof LegTotals]): void {
    const { name } = this.#about;
    let count = 0;
    for (const [k, bound] of LATENCY_BOUNDS.entries()) {
      count += buckets[k] ?? 0;
      this.#values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: count });
    }
    count += buckets[LATENCY_BOUNDS.length] ?? 0;
    this.#values.push(
      { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels, value: seconds },
      { metricName: `${name}_count`, labels, value: count },
    );
  }

  /** What the registry asks for. */
  getForPromString(): Promise<object> {
    const { name, help } = this.#about;
    return Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values: this.#values });
  }
}

/** All metrics of one moment; made anew for each. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #durations: CountedHistogram;

  constructor() {
    this.#durations = new CountedHistogram({
      name: 'dmiofs_leg_operation_duration_seconds',
      help: 'What an operation on a leg took, from its submission to its end or to where it was given up',
      registers: [this.#registry],
    });
  }

  gauge(name: string, help: string, labels: Labels, value: number): void {
    if (!Number.isFinite(value)) return; // a daemon of another version may not tell it
    const known = this.#gauges.get(name);
    const gauge =
      known ?? new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
    if (known === undefined) this.#gauges.set(name, gauge);
    gauge.set({ ...labels }, value);
  }

  counter(name: string, help: string, labels: Labels, value: number): void {
    if (!Number.isFinite(value)) return;
    const known = this.#counters.get(name);
    const counter =
      known ?? new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
    if (known === undefined) this.#counters.set(name, counter);
    counter.inc({ ...labels }, value);
  }

  /** One of several: 1 for what is, 0 for what is not. */
  state(name: string, help: string, labels: Labels, label: string, all: readonly string[], is: string): void {
    for (const one of all) this.gauge(name, help, { ...labels, [label]: one }, one === is ? 1 : 0);
  }

  duration(labels: Labels, total: LegTotals[keyof LegTotals]): void {
    this.#durations.add(labels, total);
  }

  /** In Prometheus' text format, {@link METRICS_CONTENT_TYPE}. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

type Adder = (name: string, help: string, value: number) => void;

/** Adds to `metrics` under the same labels. */
export function bound(metrics: Metrics, labels: Labels): { readonly gauge: Adder; readonly counter: Adder } {
  return {
    gauge: (name, help, value) => {
      metrics.gauge(name, help, labels, value);
    },
    counter: (name, help, value) => {
      metrics.counter(name, help, labels, value);
    },
  };
}
