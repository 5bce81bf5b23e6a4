import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  casing: "snake_case",
  schema: "./src/db/schema.ts",
  out: "./drizzle",
  schemaFilter: ["Finances"],
  // The journal lives beside the tables, so that a restored backup knows its own version.
  migrations: { schema: "Finances", table: "schema_migration" },
  breakpoints: true,
});
