//! TLS: certificates of servers, of clients, and of both after they were replaced.

use super::fixture::{append, eventually, options};
use super::openings::refused;
use portrait_store::{AckLevel, RegistryStore};
use portrait_store_redis::testing::{Certificates, Server};
use portrait_store_redis::{ClientIdentity, RedisOptions, RedisStore, TlsMaterial, TlsProblem};
use std::time::Duration;
use tokio::sync::watch;

/// Starts a server that requires client certificates if `asks` says so.
fn server(certificates: &Certificates, asks: &str) -> Server {
    let settings = certificates.settings();
    let mut settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.retain(|(name, _)| *name != "tls-auth-clients");
    settings.push(("tls-auth-clients", asks));
    Server::start(&settings)
}

/// Returns the authority of `certificates`, and the client certificate named `name` if one is.
fn material(certificates: &Certificates, name: Option<&str>) -> Result<TlsMaterial, TlsProblem> {
    let read = |file: String| std::fs::read(certificates.path(&file)).expect("it was made");
    let files = name.map(|name| (read(format!("{name}.pem")), read(format!("{name}.key"))));
    let identity = files.as_ref().map(|(certificate, key)| ClientIdentity { certificate, key });
    TlsMaterial::read(Some(&certificates.signer()), identity)
}

fn with_tls(server: &Server, material: TlsMaterial) -> RedisOptions {
    RedisOptions { tls: watch::channel(material).1, ..options(&server.tls_url(), AckLevel::Memory) }
}

#[tokio::test]
async fn a_tls_server_must_authenticate() {
    let certificates = Certificates::make();
    let server = server(&certificates, "no");
    let known = with_tls(&server, material(&certificates, None).expect("PEM"));
    let store = RedisStore::open(known).await.expect("its signer is known");
    assert!(store.registry(None, Duration::ZERO).await.is_ok());
    let other_authority = material(&Certificates::make(), None).expect("PEM");
    for material in [TlsMaterial::default(), other_authority] {
        let options = RedisOptions { start_timeout: Duration::ZERO, ..with_tls(&server, material) };
        assert!(RedisStore::open(options).await.is_err(), "its authority is unknown");
    }
}

#[tokio::test]
async fn a_server_that_requires_client_certificates_gets_one_or_the_error_names_the_keys() {
    let certificates = Certificates::make();
    certificates.caller("client");
    certificates.expired_caller("expired");
    let others = Certificates::make();
    others.caller("client");
    let server = server(&certificates, "yes");
    let store =
        RedisStore::open(with_tls(&server, material(&certificates, Some("client")).expect("PEM"))).await;
    append(&store.expect("its certificate is valid"), 0, "record", AckLevel::Memory)
        .await
        .expect("there is space");
    let foreign = {
        let read = |file: &str| std::fs::read(others.path(file)).expect("it was made");
        let (certificate, key) = (read("client.pem"), read("client.key"));
        let identity = ClientIdentity { certificate: &certificate, key: &key };
        TlsMaterial::read(Some(&certificates.signer()), Some(identity)).expect("PEM")
    };
    let rows = [
        ("no certificate", material(&certificates, None).expect("PEM")),
        ("an expired one", material(&certificates, Some("expired")).expect("PEM")),
        ("one of another authority", foreign),
    ];
    for (what, material) in rows {
        // The server may close the connection before its alert is read; then the next attempt reads it.
        let options = RedisOptions { start_timeout: Duration::from_secs(20), ..with_tls(&server, material) };
        let said = RedisStore::open(options).await.err().map(|error| error.to_string()).expect(what);
        assert!(said.contains("store.certificate") && said.contains("store.key"), "{what}: {said}");
    }
}

#[tokio::test]
async fn replaced_certificates_apply_to_later_connections() {
    let certificates = Certificates::make();
    certificates.caller("client");
    let mut server = server(&certificates, "yes");
    let (replace, tls) = watch::channel(material(&certificates, Some("client")).expect("PEM"));
    let options = RedisOptions { tls, ..options(&server.tls_url(), AckLevel::Memory) };
    let store = RedisStore::open(options).await.expect("its certificate is valid");
    replace.send_replace(material(&certificates, None).expect("PEM"));
    append(&store, 0, "on the open connection", AckLevel::Memory).await.expect("it goes on");
    server.kill();
    server.restart();
    assert!(append(&store, 0, "without a certificate", AckLevel::Memory).await.is_err());
    replace.send_replace(material(&certificates, Some("client")).expect("PEM"));
    eventually("the certificate is back", async || append(&store, 0, "with one", AckLevel::Memory).await)
        .await;
}

#[tokio::test]
async fn unusable_certificates_are_told_apart() {
    let certificates = Certificates::make();
    certificates.caller("client");
    certificates.caller("other");
    let read = |file: &str| std::fs::read(certificates.path(file)).expect("it was made");
    let (certificate, key, other) = (read("client.pem"), read("client.key"), read("other.key"));
    let nothing: &[u8] = b"";
    let broken: &[u8] = b"-----BEGIN CERTIFICATE-----\nsecret";
    let rows = [
        (Some(nothing), None, Some(TlsProblem::Authority("has no certificate"))),
        (Some(broken), None, Some(TlsProblem::Authority("is not PEM"))),
        (None, Some((nothing, &key[..])), Some(TlsProblem::Certificate("has no certificate"))),
        (None, Some((&certificate[..], nothing)), Some(TlsProblem::Key("has no private key in PEM"))),
        (None, Some((&certificate[..], &other[..])), Some(TlsProblem::Certificate("does not match its key"))),
        (None, Some((&certificate[..], &key[..])), None),
    ];
    for (authority, identity, problem) in rows {
        let identity = identity.map(|(certificate, key)| ClientIdentity { certificate, key });
        assert_eq!(TlsMaterial::read(authority, identity).err(), problem);
    }
}

#[tokio::test]
async fn a_plain_connection_to_a_server_with_tls_is_no_hang() {
    let certificates = Certificates::make();
    let server = server(&certificates, "no");
    let plain = server.tls_url().replace("rediss://", "redis://");
    let options = RedisOptions { start_timeout: Duration::ZERO, ..options(&plain, AckLevel::Memory) };
    assert!(RedisStore::open(options).await.is_err());
    assert_eq!(refused(with_tls(&server, material(&certificates, None).expect("PEM"))).await, None);
}
