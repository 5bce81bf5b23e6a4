import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { gstinInput, Id, Instant, name, prose, Text, Version } from "../wire.ts";

export const Vendor = z
  .strictObject({
    id: Id.openapi({ example: 34 }),
    name: Text(255, "D'Souza & Sons"),
    contact_person: Text(255, "Maria D'Souza").nullable(),
    email: Text(255, "accounts@dsouza.example").nullable(),
    phone: Text(50, "+91 98200 00000").nullable(),
    address: Text(2000, "3 Mill Road, Industrial Estate, Pune").nullable(),
    gstin: z.string().length(15).nullable().openapi({ example: "27ABCDE1234F1Z5" }),
    payment_terms: Text(255, "30 days").nullable(),
    status: z.enum(["active", "inactive"]).openapi({ example: "active" }),
    created_at: Instant,
    updated_at: Instant,
    version: Version,
  })
  .openapi("Vendor");
export type Vendor = z.infer<typeof Vendor>;

export const vendorSorts = ["id", "-id", "name", "-name"] as const;
export type VendorSort = (typeof vendorSorts)[number];

export const VendorPage = Page(Vendor).openapi("VendorPage");

const writable = {
  name: name(255, "D'Souza & Sons"),
  contact_person: prose(255, "Maria D'Souza").nullable().optional(),
  email: z
    .email("must be an e-mail address")
    .max(255)
    .nullable()
    .optional()
    .openapi({ example: "accounts@dsouza.example" }),
  phone: prose(50, "+91 98200 00000").nullable().optional(),
  address: prose(2000, "3 Mill Road, Industrial Estate, Pune").nullable().optional(),
  gstin: gstinInput.nullable().optional(),
  payment_terms: prose(255, "30 days").nullable().optional(),
  status: z.enum(["active", "inactive"]).openapi({ example: "active" }),
};

export const NewVendor = z
  .strictObject({ ...writable, status: writable.status.default("active") })
  .openapi("NewVendor");
export type NewVendor = z.infer<typeof NewVendor>;

export const VendorChanges = z.strictObject(writable).partial().openapi("VendorChanges");
export type VendorChanges = z.infer<typeof VendorChanges>;
