/**
 * What the violation of a constraint means to a caller, by the constraint's name: those that a request can violate although
 * it validates. A test holds this table against the live catalogue; every other constraint cannot be violated from outside.
 */
export interface Meaning {
  kind: "conflict" | "validation-failed";
  /** JSON pointer into the body. */
  pointer: string;
  detail: string;
}

const invalid = (pointer: string, detail: string): Meaning => ({ kind: "validation-failed", pointer, detail });
const taken = (pointer: string, detail: string): Meaning => ({ kind: "conflict", pointer, detail });
const unknown = (field: string) => invalid(`/${field}`, "there is no such row");

export const constraints: Readonly<Record<string, Meaning>> = {
  user_username_unique: taken("/username", "there is an account of this username"),
  user_username_case_unique: taken("/username", "there is an account of this username in other letter cases"),
  user_email_unique: taken("/email", "there is an account of this e-mail address, whatever the case"),
  client_name_unique: taken("/name", "there is a client of this name, whatever the case"),
  client_po_number_unique: taken("/po_number", "this client has a PO of this number"),

  client_po_client_fkey: unknown("client_id"),
  client_po_project_fkey: unknown("project_id"),
  client_po_parent_po_fkey: unknown("parent_po_id"),
  client_po_vendor_fkey: unknown("vendor_id"),
  client_po_site_fkey: unknown("site_id"),
  client_po_not_its_own_parent: invalid("/parent_po_id", "a PO is not its own parent"),
  client_po_value_from_lines: invalid("/po_value", "follows from the line items of this PO: leave it out"),
  client_po_closed: taken(
    "",
    "a completed or cancelled PO keeps its line items and amounts: set its status back first",
  ),
  client_po_line_item_limit: invalid("", "a PO has at most 2000 line items"),

  client_po_line_item_one_price: invalid("/unit_price", "give exactly one of unit_price and total_price"),
  client_po_line_item_quantity_needed: invalid("/quantity", "is needed with a unit_price"),
  client_po_line_item_gst_rate_needed: invalid(
    "/gst_rate",
    "is needed to change quantity or price: the imported GST of this line follows no rate",
  ),
};
