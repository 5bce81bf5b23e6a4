// Everything comes from this host: no fonts, proxy or telemetry of others.
const configuration = {
  url: "/openapi.json",
  // As it is, without what `unticked` does to it.
  documentDownloadType: "direct",
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  persistAuth: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  // Summaries are sentences, too long for a list at the side.
  operationTitleSource: "path",
  authentication: withToken(""),
  metaData: { title: "Nexgen Finance API" },
  customFetch: async (...request) => {
    const response = await fetch(...request);
    await keepToken(response);
    return new URL(response.url).pathname === "/openapi.json" ? unticked(response) : response;
  },
};
const reference = Scalar.createApiReference("#reference", configuration);

function withToken(token) {
  const description = "`POST /auth/login` from this page fills it in.";
  return { preferredSecurityScheme: "bearer", securitySchemes: { bearer: { token, description } } };
}

/** A log-in that is sent from this page logs the page in, until it is left: the token stays in its memory. */
async function keepToken(response) {
  const { pathname } = new URL(response.url);
  if (!response.ok || !/^\/auth\/(login|refresh|logout)$/.test(pathname)) return;
  const token = pathname === "/auth/logout" ? "" : (await response.clone().json()).access_token;
  reference.updateConfiguration({ ...configuration, authentication: withToken(token) });
}

/**
 * Scalar sends every example that it finds, also of what need not be sent: a cursor of no list, an ETag of no row, the
 * same Idempotency-Key each time. So it gets the OpenAPI document with these unticked; a person ticks what is wanted.
 */
async function unticked(response) {
  const document = await response.json();
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
    if (parameter.required) continue;
    const { example: value, ...schema } = parameter.schema;
    Object.assign(parameter, { schema, examples: { default: { value, "x-disabled": true } } });
  }
  return new Response(JSON.stringify(document), response);
}
