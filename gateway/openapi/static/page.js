// Shows the document of this gateway; asks no other host for anything.
"use strict";

// What is typed in as an API key goes out with its scheme, whether that was typed or not.
const SCHEME = /^(Bearer|ApiKey) /i;

window.reference = SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  // Would send the document to a service on the internet.
  validatorUrl: null,
  requestInterceptor: (request) => {
    const sent = request.headers && request.headers.Authorization;
    if (sent && !SCHEME.test(sent)) {
      request.headers.Authorization = `ApiKey ${sent.trim()}`;
    }
    return request;
  },
});
