import { described, Failed } from "./api.ts";
import { assert, type Check, NotRun } from "./check.ts";

const section = "Afterwards";

/** Done also when other checks failed, or somebody pressed Ctrl-C. */
export const afterChecks: Check[] = [
  {
    section,
    name: "Everything written is removed",
    always: true,
    writes: true,
    async run(run) {
      const removed = run.written.length;
      if (removed === 0) throw new NotRun("nothing was written");
      // A PO goes before its client and vendor, and takes its lines with it.
      for (const path of run.written.toReversed()) {
        const answer = await run.api.send("DELETE", path);
        if (answer.status !== 204 && answer.status !== 404)
          throw new Failed(`DELETE ${path} answered ${described(answer)}. Left: ${run.written.join(", ")}`);
        const after = await run.api.send("GET", path);
        assert(after.status === 404, `${path} is deleted and still answers ${after.status}`);
        run.written.pop();
      }
      return `${removed} things`;
    },
  },
  {
    section,
    name: "Log-out ends the session",
    always: true,
    async run(run) {
      if (!run.tokens) throw new NotRun("nobody was logged in");
      await run.api.expect(204, "POST", "/auth/logout");
      const after = await run.api.send("GET", "/auth/me");
      assert(after.status === 401, `GET /auth/me after log-out answered ${described(after)}, not 401`);
      return "its token is refused";
    },
  },
];
