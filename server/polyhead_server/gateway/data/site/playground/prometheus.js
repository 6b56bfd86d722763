// Prometheus text, and what two readings of it say about the time between them.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const NUMBERS = { "+Inf": Infinity, "-Inf": -Infinity };

const number = (text) => NUMBERS[text] ?? Number(text);

/** Every sample: name, labels, value. */
export const samples = (text) =>
  text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (!name) return [];
    const pairs = Array.from(labels.matchAll(LABEL), ([, key, content]) => [key, content]);
    return [{ name, labels: Object.fromEntries(pairs), value: number(value) }];
  });

// Health checks and lists of tasks are calls, too, but no work; a stream lasts as long as it likes.
const WORK = ["Annotate", "AnnotateStream", "ModelInfer", "ModelStreamInfer"];
const isWork = ({ labels }) => WORK.includes(labels.grpc_method);
const isSingle = ({ labels }) => !labels.grpc_type?.includes("stream");

/** The counts of one moment; `at` in seconds. */
export const reading = (text, at) => {
  const all = samples(text);
  const sum = (name, fits = () => true) =>
    all.filter((one) => one.name === name && fits(one)).reduce((total, one) => total + one.value, 0);
  const buckets = new Map();
  for (const one of all)
    if (one.name === "grpc_server_handling_seconds_bucket" && isWork(one) && isSingle(one)) {
      const bound = number(one.labels.le);
      buckets.set(bound, (buckets.get(bound) ?? 0) + one.value);
    }
  return {
    at,
    // A gateway may ask one server now and another then: their counts have nothing to do with each other.
    server: sum("process_start_time_seconds"),
    buckets,
    requests: sum("grpc_server_handled_total", isWork),
    texts: sum("polyhead_documents_total"),
    tokens: sum("polyhead_batch_tokens_sum"),
    waiting: sum("polyhead_queue_tokens"),
  };
};

/** Figures for the time between two readings; null where the server began anew between them. */
export const between = (older, newer) => {
  const seconds = newer.at - older.at;
  const rate = (name) => (newer[name] - older[name]) / seconds;
  if (["requests", "texts", "tokens"].some((name) => rate(name) < 0)) return null;
  const counts = [...newer.buckets]
    .map(([bound, value]) => [bound, value - (older.buckets.get(bound) ?? 0)])
    .sort(([one], [other]) => one - other);
  return {
    requests: rate("requests"),
    texts: rate("texts"),
    tokens: rate("tokens"),
    half: quantile(0.5, counts),
    most: quantile(0.95, counts),
    waiting: newer.waiting,
  };
};

/** A quantile from cumulative counts by bound, linear within a bucket; null where there are none. */
export const quantile = (share, counts) => {
  const wanted = share * (counts.at(-1)?.[1] ?? 0);
  if (!(wanted > 0)) return null;
  let [low, below] = [0, 0];
  for (const [bound, up] of counts) {
    if (up >= wanted) return bound === Infinity ? low : low + ((bound - low) * (wanted - below)) / (up - below);
    [low, below] = [bound, up];
  }
  return low;
};
