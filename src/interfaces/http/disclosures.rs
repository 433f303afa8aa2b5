//! `GET /v1/patients/{patient}/disclosures`: where the record of a patient went, as JSON, CSV or FHIR AuditEvents.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::caller::signed_in;
use super::problem::{json as answer, problem};
use super::site::Site;
use crate::features::chart::disclosure::{self, Disclosure};
use crate::kernel::base::{PatientId, Refusal};

/// The report.
pub async fn report(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(patient): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    match run(&site, peer, &patient, &query, &headers).await {
        Ok(response) => response,
        Err(refusal) => problem(&refusal),
    }
}

async fn run(
    site: &Site,
    peer: SocketAddr,
    patient: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let caller = signed_in(site, peer, headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    let patient: PatientId = patient.parse().map_err(|_| Refusal::not_found())?;
    caller.state.touch(now);
    let times = ["from", "to"].map(|name| query.get(name).map(String::as_str));
    let format = query.get("format").map_or("json", String::as_str);
    if !["json", "csv", "fhir"].contains(&format) {
        return Err(Refusal::invalid("format", "A report is `json`, `csv` or `fhir`."));
    }
    let found = disclosure::all(site.engine(), &caller.subject, patient, times).await.map_err(|stop| stop.refusal())?;
    Ok(match format {
        "csv" => csv(&found),
        "fhir" => {
            let mut response = answer(StatusCode::OK, &disclosure::bundle(site.engine(), patient, &found));
            let class = HeaderValue::from_static("application/fhir+json");
            response.headers_mut().insert(header::CONTENT_TYPE, class);
            response
        }
        _ => answer(StatusCode::OK, &json!({ "disclosures": found })),
    })
}

fn csv(found: &[Disclosure]) -> Response<Body> {
    let lines: String = found.iter().map(disclosure::line).collect();
    let mut response = Response::new(Body::from(format!("{}{lines}", disclosure::HEADINGS)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"disclosures.csv\""));
    response
}
