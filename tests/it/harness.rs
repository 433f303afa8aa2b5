//! What all other tests rest on: a server comes up, answers, and goes.

use super::server::Server;

both!(a_new_server_lives_and_ends_when_told_to);
async fn a_new_server_lives_and_ends_when_told_to() {
    let server = Server::new().await;
    let answer = server.request("GET /livez", "", b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.request("GET /no/such/route", "", b"").await.json()["code"], "not_found");
    server.signal("TERM").await;
    let (_house, code) = server.ended().await;
    assert_eq!(code, Some(0));
}
