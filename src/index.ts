import { app } from "./app.ts";
import { runCron } from "./cron.ts";

export default {
  fetch: app.fetch,
  scheduled: (controller, env) => runCron(controller.cron, env),
} satisfies ExportedHandler<Env>;
