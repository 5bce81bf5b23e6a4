import cliProgress from "cli-progress";

/** `12.3 MB`: powers of 1000, as the disk and R2 count. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `3 h`: in the largest unit of which there are two at least. */
export function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

export const seconds = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} s`;
export const count = (rows: number) => rows.toLocaleString("en-US");

/** Columns of text, those of numbers flush right. */
export function table(head: string[], lines: string[][], right: number[] = []): string {
  const width = head.map((title, column) =>
    Math.max(...[head, ...lines].map((line) => (line[column] ?? title).length)),
  );
  const row = (line: string[]) =>
    line
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(width[column] ?? 0) : cell.padEnd(width[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [head, ...lines].map(row).join("\n");
}

export interface Progress {
  /** Where the work is; `done` in the unit of the total. */
  show(stage: string, done: number, detail: string): void;
  end(): void;
}

/** On a terminal a bar with the time that is left; elsewhere a line for every new stage. */
export function progress(total: number): Progress {
  if (!process.stderr.isTTY) {
    let last = "";
    return {
      show(stage) {
        if (stage !== last) console.error(`${stage} …`);
        last = stage;
      },
      end() {},
    };
  }
  const bar = new cliProgress.SingleBar(
    { format: "{stage} [{bar}] {percentage}% | {detail}{left}", clearOnComplete: true, hideCursor: true },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0, { stage: "", detail: "", left: "" });
  let current = "";
  let began = performance.now();
  return {
    show(stage, done, detail) {
      if (stage !== current) began = performance.now();
      current = stage;
      // Counted from the stage's own beginning: one is not as fast as another.
      const rest = ((performance.now() - began) / 1000) * (total / done - 1);
      const left = rest > 1 && Number.isFinite(rest) ? ` | ${age(rest)} left` : "";
      bar.update(done, { stage, detail, left });
    },
    end: () => bar.stop(),
  };
}

/** For work whose end is not known before: on a terminal one line that changes, elsewhere a line for every new stage. */
export function ticker(): { show(stage: string, detail: string): void; end(): void } {
  let last = "";
  return {
    show(stage, detail) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${stage}: ${detail}`);
      else if (stage !== last) console.error(`${stage} …`);
      last = stage;
    },
    end() {
      if (process.stderr.isTTY && last !== "") process.stderr.write("\r\x1b[K");
    },
  };
}
