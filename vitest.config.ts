import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

/** `npm run test:deep` runs the long ones, `npm run test:browser` those that need Chromium, `npm test` everything else. */
const folder = (mode: string) => (["deep", "browser"].includes(mode) ? `test/${mode}` : "test");

export default defineConfig(({ mode }) => ({
  test: {
    // Most of them wait for Postgres: twice the cores of a small machine keep it busy.
    maxWorkers: 4,
    // Here and not in the Worker's project, whose plugin resolves packages for workerd.
    globalSetup: ["./test/support/node/postgres.ts"],
    projects: [
      {
        plugins: [
          cloudflareTest(({ inject }) => {
            // Secrets, so from the environment, as wrangler wants them. Every test file moves on to a database of its
            // own: test/support/database.ts.
            process.env.DATABASE_URL = inject("apiUrl");
            process.env.BACKUP_DATABASE_URL = inject("backupUrl");
            process.env.JWT_KEYS = inject("jwtKeys");
            const { FUZZ_SEED = "", FUZZ_RUNS = "" } = process.env;
            return {
              wrangler: { configPath: "./wrangler.toml" },
              // The least work that there is for a password, and no line for every request.
              miniflare: {
                bindings: {
                  TEST_CONTROL_URL: inject("controlUrl"),
                  BCRYPT_COST: "10",
                  LOG_LEVEL: "error",
                  FUZZ_SEED,
                  FUZZ_RUNS,
                },
              },
            };
          }),
        ],
        test: {
          name: "worker",
          include: [`${folder(mode)}/*.test.ts`],
          exclude: ["**/*.node.test.ts"],
          setupFiles: ["test/support/database.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "node",
          include: [`${folder(mode)}/*.node.test.ts`],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
}));
