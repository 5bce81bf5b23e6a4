// Everything comes from this host: no fonts, proxy or telemetry of others.
const configuration = {
  url: "/openapi.json",
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
    return response;
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
