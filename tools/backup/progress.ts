import cliProgress from "cli-progress";
import { age } from "./report.ts";

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
