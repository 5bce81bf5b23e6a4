import { randomBytes } from "node:crypto";
import pg from "pg";
import { hashPassword } from "../src/auth/password.ts";

type Row = Record<string, string | number | boolean | null>;
/** [item, HSN or SAC, unit, quantity, unit price, GST percent] */
type Line = readonly [string, string, string, string, string, string];

/** The 15th character checks the other 14: base 36, every second digit doubled. */
function gstin(stateCode: string, pan: string): string {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const body = `${stateCode}${pan}1Z`;
  let sum = 0;
  for (const [i, character] of [...body].entries()) {
    const product = alphabet.indexOf(character) * (i % 2 === 0 ? 1 : 2);
    sum += Math.floor(product / 36) + (product % 36);
  }
  return body + alphabet[(36 - (sum % 36)) % 36];
}

const works = {
  partition: ["Gypsum partition, 100 mm, double skin with insulation", "6809", "sqft", "640.000", "148.5000", "18.00"],
  ceiling: ["Grid false ceiling, mineral fibre tile 600 x 600", "6806", "sqft", "1180.500", "92.7500", "18.00"],
  tiles: ["Vitrified tile flooring 800 x 800, laid in adhesive", "6907", "sqft", "1240.000", "118.0000", "18.00"],
  paint: ["Acrylic emulsion, two coats over primer and putty", "3209", "sqft", "4200.000", "21.2500", "18.00"],
  electrical: ["Electrical wiring and points, FRLS copper", "9954", "point", "86.000", "1140.0000", "18.00"],
  lights: ["LED track light, 30 W, 3000 K", "9405", "nos", "54.000", "1685.0000", "18.00"],
  hvac: ["Cassette air conditioner 3 TR, supplied and installed", "8415", "nos", "3.000", "118400.0000", "28.00"],
  ducting: ["GI ducting 24 gauge with insulation", "7308", "sqm", "96.750", "1265.3300", "18.00"],
  counter: ["Cash counter, plywood carcass, veneer finish", "9403", "nos", "2.000", "64500.0000", "18.00"],
  shelving: ["Wall shelving bay 900 mm, powder-coated", "9403", "nos", "28.000", "8725.0000", "18.00"],
  signage: ["Facade signage, acrylic letters, back-lit", "9405", "rft", "22.500", "5480.0000", "18.00"],
  shutter: ["Rolling shutter, motorised, perforated", "7308", "sqft", "132.000", "690.0000", "18.00"],
  sprinkler: ["Fire sprinkler drop with pendent head", "8424", "nos", "38.000", "1975.5000", "18.00"],
  plumbing: ["Plumbing for pantry and toilets, CPVC", "9954", "lot", "1.000", "84250.0000", "18.00"],
  demolition: ["Dismantling and debris removal", "9954", "lot", "1.000", "46000.0000", "18.00"],
  cctv: ["Dome camera 4 MP with cabling", "8525", "nos", "12.000", "6240.0000", "18.00"],
  supervision: ["Site supervision and project management", "9983", "month", "2.500", "65000.0000", "18.00"],
} as const satisfies Record<string, Line>;

const astraBangalore = gstin("29", "AAKCA4821M");
const astraMumbai = gstin("27", "AAKCA4821M");

const clients: Row[] = [
  { name: "Astra Fashion Retail Private Limited", bundle_by_store: true },
  { name: "Kaveri Coffee Roasters LLP", bundle_by_store: false },
  { name: "Meridian Diagnostics Limited", bundle_by_store: false },
];

const vendors: Row[] = [
  {
    name: "Sahyadri Interiors Private Limited",
    gstin: gstin("27", "AAQCS7310K"),
    contact_person: "Rohan Deshmukh",
    email: "accounts@sahyadri-interiors.example",
    phone: "+91 22 5550 0142",
    address: "14 Nirmal Industrial Estate, Andheri East, Mumbai 400069",
    payment_terms: "30 days",
    status: "active",
  },
  {
    name: "Cauvery Electricals and HVAC",
    gstin: gstin("29", "AAJFC5528P"),
    contact_person: "Lakshmi Narayan",
    email: "billing@cauvery-electricals.example",
    phone: "+91 80 5550 0177",
    address: "7 Peenya 2nd Stage, Bengaluru 560058",
    payment_terms: "45 days",
    status: "active",
  },
  {
    name: "Charminar Signs",
    gstin: gstin("36", "BQZPK6402H"),
    contact_person: "Ayesha Khan",
    email: "hello@charminar-signs.example",
    phone: "+91 40 5550 0113",
    address: "22 Balanagar Main Road, Hyderabad 500037",
    payment_terms: "50% advance",
    status: "active",
  },
  {
    name: "Old Town Carpentry",
    gstin: null,
    contact_person: "S. Fernandes",
    payment_terms: "On delivery",
    status: "inactive",
  },
];

const sites: Row[] = [
  {
    store_id: "BLR-IND-014",
    site_name: "Indiranagar 100 Feet Road",
    city: "Bengaluru",
    state: "Karnataka",
    postal_code: "560038",
  },
  {
    store_id: "MUM-AND-007",
    site_name: "Andheri Link Road",
    city: "Mumbai",
    state: "Maharashtra",
    postal_code: "400053",
  },
  {
    store_id: "HYD-GCB-021",
    site_name: "Gachibowli High Street",
    city: "Hyderabad",
    state: "Telangana",
    postal_code: "500032",
  },
  {
    store_id: "KCR-KOR-003",
    site_name: "Koramangala 5th Block",
    city: "Bengaluru",
    state: "Karnataka",
    postal_code: "560095",
  },
];

interface DemoOrder {
  client: number;
  vendor?: number;
  site?: number;
  daysAgo: number;
  columns: Row;
  lines: readonly Line[];
}

// Two bundles (three POs and two), a PO of a bundling client that is alone in its store, one without a store, and two of
// a client that does not bundle although they share a store.
const orders: DemoOrder[] = [
  {
    client: 0,
    vendor: 1,
    site: 0,
    daysAgo: 92,
    columns: {
      po_number: "AFR-0311",
      store_id: "BLR-IND-014",
      status: "completed",
      bill_to_gstin: astraBangalore,
    },
    lines: [works.demolition, works.partition, works.ceiling, works.tiles],
  },
  {
    client: 0,
    vendor: 1,
    site: 0,
    daysAgo: 61,
    columns: { po_number: "AFR-0347", store_id: "BLR-IND-014", status: "active", bill_to_gstin: astraBangalore },
    lines: [works.electrical, works.lights, works.hvac, works.ducting],
  },
  {
    client: 0,
    vendor: 2,
    site: 0,
    daysAgo: 12,
    columns: {
      po_number: "AFR-0418",
      store_id: "BLR-IND-014",
      status: "pending",
      bill_to_gstin: astraBangalore,
      notes: "Revised facade, drawing R3",
    },
    lines: [works.signage, works.shutter],
  },
  {
    client: 0,
    vendor: 0,
    site: 1,
    daysAgo: 45,
    columns: { po_number: "AFR-0360", store_id: "MUM-AND-007", status: "active", bill_to_gstin: astraMumbai },
    lines: [works.partition, works.paint, works.counter, works.shelving, works.cctv],
  },
  {
    client: 0,
    vendor: 0,
    site: 1,
    daysAgo: 6,
    columns: { po_number: "AFR-0424", store_id: "MUM-AND-007", status: "pending", bill_to_gstin: astraMumbai },
    lines: [works.sprinkler, works.plumbing],
  },
  {
    client: 0,
    vendor: 2,
    site: 2,
    daysAgo: 30,
    columns: { po_number: "AFR-0409", store_id: "HYD-GCB-021", status: "active", bill_to_gstin: astraMumbai },
    lines: [works.signage, works.lights],
  },
  {
    client: 0,
    vendor: 1,
    daysAgo: 20,
    columns: {
      po_number: "AFR-0415",
      status: "pending",
      bill_to_gstin: astraBangalore,
      notes: "Store to be named by the client",
    },
    lines: [works.supervision],
  },
  {
    client: 1,
    vendor: 1,
    site: 3,
    daysAgo: 75,
    columns: {
      po_number: "KCR-107",
      store_id: "KCR-KOR-003",
      status: "completed",
      bill_to_gstin: gstin("29", "AAXFK9035Q"),
    },
    lines: [works.plumbing, works.counter, works.tiles],
  },
  {
    client: 1,
    vendor: 1,
    site: 3,
    daysAgo: 33,
    columns: {
      po_number: "KCR-111",
      store_id: "KCR-KOR-003",
      status: "active",
      bill_to_gstin: gstin("29", "AAXFK9035Q"),
    },
    lines: [works.electrical, works.lights],
  },
  {
    client: 1,
    daysAgo: 15,
    columns: { po_number: "KCR-114", status: "cancelled", notes: "Landlord withdrew" },
    lines: [works.demolition],
  },
  {
    client: 2,
    vendor: 0,
    daysAgo: 54,
    columns: { po_number: "MDL/PO/4471", status: "active", bill_to_gstin: gstin("27", "AACCM2276R") },
    lines: [works.partition, works.ceiling, works.hvac, works.sprinkler, works.paint],
  },
  {
    client: 2,
    vendor: 0,
    daysAgo: 25,
    columns: {
      po_number: "MDL/PO/4502",
      status: "pending",
      po_value: "485000.00",
      notes: "Lump sum, bill of quantities to follow",
    },
    lines: [],
  },
  {
    client: 2,
    daysAgo: 9,
    columns: {
      po_type: "verbal_agreement",
      pi_number: "PI-031",
      status: "pending",
      po_value: "125000.00",
      notes: "Agreed by phone, PO awaited",
    },
    lines: [],
  },
  {
    client: 2,
    vendor: 2,
    daysAgo: 2,
    columns: { po_number: "MDL/PO/4519", status: "pending", bill_to_gstin: gstin("27", "AACCM2276R") },
    lines: [works.signage],
  },
];

async function insert(connection: pg.Client, table: string, row: Row): Promise<number> {
  const names = Object.keys(row);
  const { rows } = await connection.query<{ id: string }>(
    `INSERT INTO "Finances".${table} (${names.join(", ")}) VALUES (${names.map((_, i) => `$${i + 1}`).join(", ")}) RETURNING id`,
    Object.values(row),
  );
  return Number(rows[0]?.id);
}

async function insertOrder(
  connection: pg.Client,
  order: DemoOrder,
  ids: { clients: number[]; vendors: number[]; sites: number[] },
) {
  const createdAt = new Date(Date.now() - order.daysAgo * 86_400_000);
  const day = createdAt.toISOString().slice(0, 10);
  const vendor = order.vendor === undefined ? undefined : vendors[order.vendor];
  const id = await insert(connection, "client_po", {
    client_id: ids.clients[order.client] ?? null,
    vendor_id: order.vendor === undefined ? null : (ids.vendors[order.vendor] ?? null),
    site_id: order.site === undefined ? null : (ids.sites[order.site] ?? null),
    vendor_gstin: vendor?.gstin ?? null,
    vendor_address: vendor?.address ?? null,
    [order.columns.po_type === "verbal_agreement" ? "agreement_date" : "po_date"]: day,
    created_at: createdAt.toISOString(),
    ...order.columns,
  });
  if (order.lines.length === 0) return;
  const values = order.lines.map((_, i) => `($1, ${[2, 3, 4, 5, 6, 7].map((n) => `$${n + 6 * i}`).join(", ")})`);
  await connection.query(
    `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, hsn_code, unit, quantity, unit_price, gst_rate)
     VALUES ${values.join(", ")}`,
    [id, ...order.lines.flat()],
  );
}

/**
 * Fills an empty database with demo data, as its owner, in one transaction; answers the administrator's log-in, or
 * undefined when there is a client, vendor, PO, user or site already.
 */
export async function seedDemo(ownerUrl: string): Promise<{ username: string; password: string } | undefined> {
  const connection = new pg.Client({ connectionString: ownerUrl });
  await connection.connect();
  try {
    await connection.query("BEGIN");
    await connection.query("SELECT pg_advisory_xact_lock(hashtext('nexgen-seed'))");
    const tables = ["client", "vendor", "client_po", '"user"', "site"];
    const { rowCount } = await connection.query(
      tables.map((table) => `(SELECT FROM "Finances".${table} LIMIT 1)`).join(" UNION ALL "),
    );
    if (rowCount !== 0) return undefined;
    await connection.query("SELECT set_config('nexgen.actor', 'demo data', true)");

    const username = "admin";
    const password = randomBytes(12).toString("base64url");
    await insert(connection, '"user"', {
      username,
      email: "admin@nexgen.example",
      password_hash: await hashPassword(password),
      role: "admin",
    });
    const ids: Record<"clients" | "vendors" | "sites", number[]> = { clients: [], vendors: [], sites: [] };
    for (const row of clients) ids.clients.push(await insert(connection, "client", row));
    for (const row of vendors) ids.vendors.push(await insert(connection, "vendor", row));
    for (const row of sites) ids.sites.push(await insert(connection, "site", row));
    for (const order of orders) await insertOrder(connection, order, ids);
    await connection.query("COMMIT");
    return { username, password };
  } finally {
    await connection.end(); // Ends an open transaction without a trace.
  }
}
