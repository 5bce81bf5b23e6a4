import { type NeonLocalOptions, startNeonLocal } from "../neon-local.ts";

/** The Neon endpoint in a process of its own, as it is at Neon. */
process.once("message", async (options: NeonLocalOptions) => {
  const { port } = await startNeonLocal(options);
  process.send?.({ port });
});
process.once("disconnect", () => process.exit(0));
