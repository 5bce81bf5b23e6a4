import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const { paths } = JSON.parse(read("docs/openapi.json")) as { paths: Record<string, object> };

/** The routes that the guide names as ours: the second column of its tables. */
const routes = read("docs/migrating.md")
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .flatMap((line) => [...(line.split("|")[2] ?? "").matchAll(/`((?:[A-Z]+`, `)*[A-Z]+) (\/[^`?]*)[^`]*`/g)])
  .flatMap(([, methods = "", path = ""]) => methods.split("`, `").map((method) => [method, path] as const));

it("the guide for the old front end names routes that there are", () => {
  expect(routes.length).toBeGreaterThan(25);
  const outside = ["/docs", "/openapi.json"];
  const unknown = routes.filter(
    ([method, path]) => !outside.includes(path) && !(method.toLowerCase() in (paths[path] ?? {})),
  );
  expect(unknown).toEqual([]);
});
