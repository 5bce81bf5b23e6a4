import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { Id, Instant, name, Text, Version } from "../wire.ts";

export const Client = z
  .strictObject({
    id: Id.openapi({ example: 2 }),
    name: Text(255, "Borealis Pharmacy").openapi({ description: "Unique, whatever the case" }),
    bundle_by_store: z
      .boolean()
      .openapi({ example: true, description: "Whether this client's POs for one store are shown as one bundle" }),
    created_at: Instant,
    updated_at: Instant,
    version: Version,
  })
  .openapi("Client");
export type Client = z.infer<typeof Client>;

export const clientSorts = ["id", "-id", "name", "-name"] as const;
export type ClientSort = (typeof clientSorts)[number];

export const ClientPage = Page(Client).openapi("ClientPage");
export type ClientPage = z.infer<typeof ClientPage>;

const writable = {
  name: name(255, "Borealis Pharmacy"),
  bundle_by_store: z.boolean().openapi({ example: true }),
};

export const NewClient = z
  .strictObject({ ...writable, bundle_by_store: writable.bundle_by_store.default(false) })
  .openapi("NewClient");
export type NewClient = z.infer<typeof NewClient>;

export const ClientChanges = z.strictObject(writable).partial().openapi("ClientChanges");
export type ClientChanges = z.infer<typeof ClientChanges>;
