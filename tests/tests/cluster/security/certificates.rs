//! TLS: accepted and refused client certificates, and certificates that are replaced under a running server.

use super::{
    SecuredServer, assert_stays, command, connect_and_query, credentials, get_profile_status, nodes, with_tls,
};
use portrait_runtime::peer::PresentedCredentials;
use portrait_store_redis::testing::Certificates;
use portrait_tests::{Server, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_accepted_with_a_valid_certificate_only() {
    let (ours, strangers) = (Certificates::make(), Certificates::make());
    ours.caller("engine");
    ours.expired_caller("late");
    strangers.caller("stranger");
    let server = SecuredServer::start(&with_tls(&ours, "server", true));
    let url = server.url();
    assert!(url.starts_with("https://"), "{url}");
    let good = credentials(&ours, Some((&ours, "engine")), None);
    let peer = connect_and_query(url, &good).await.expect("a valid certificate");
    let refused = [
        ("none", credentials(&ours, None, None)),
        ("an expired one", credentials(&ours, Some((&ours, "late")), None)),
        ("one of an unknown CA", credentials(&ours, Some((&strangers, "stranger")), None)),
        ("a client that trusts another CA", credentials(&strangers, Some((&ours, "engine")), None)),
    ];
    for (case, presented) in refused {
        let error = connect_and_query(url, &presented).await.map(drop).expect_err(case);
        assert!(!error.contains("NotFound"), "{case}: {error}");
    }
    let plain = url.replace("https://", "http://");
    connect_and_query(&plain, &PresentedCredentials::default()).await.map(drop).expect_err("plaintext");
    let mut plain = TcpStream::connect(plain.trim_start_matches("http://")).expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("sent");
    let mut response = Vec::new();
    // The server may send a TLS alert before it closes the connection.
    let _ = plain.read_to_end(&mut response);
    assert!(!String::from_utf8_lossy(&response).contains("HTTP"), "{response:?}");
    // Existing connections and new clients are still served.
    assert_eq!(get_profile_status(&peer).await.expect_err("unknown user").code(), Code::NotFound);
    connect_and_query(url, &good).await.expect("a valid certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_use_tls_and_the_process_watches_its_own_models() {
    let ours = Certificates::make();
    ours.caller("operator");
    let server = SecuredServer::start(&with_tls(&ours, "server", true));
    let path = |name: &str| ours.path(name).display().to_string();
    let ca = path("signer.pem");
    let certificate = path("operator.pem");
    let key = path("operator.key");
    let flags = ["--to", server.url(), "--ca", &ca, "--cert", &certificate, "--key", &key];
    let (success, message) = command(&[&["probe"], &flags[..]].concat(), None);
    assert!(success, "{message}");
    // Inside one process the model service is called without TLS, so no client certificate is needed.
    let peer = connect_and_query(server.url(), &credentials(&ours, Some((&ours, "operator")), None))
        .await
        .expect("accepted");
    wait_until("the node is listed", async || nodes(&peer).await == 1).await;
    let (success, message) = command(&["probe", "--timeout", "1", "--to", server.url(), "--ca", &ca], None);
    assert!(!success && message.contains("the probe has tried for 1 s"), "{message}");
    let (success, message) =
        command(&["probe", "--timeout", "1", "--to", server.url(), "--cert", &certificate], None);
    assert!(!success && message.contains("--key is missing beside --cert"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_takes_effect_and_a_damaged_one_is_ignored() {
    let (ours, others) = (Certificates::make(), Certificates::make());
    let server = SecuredServer::start(&with_tls(&ours, "server", false));
    let (old, new) = (credentials(&ours, None, None), credentials(&others, None, None));
    let before = connect_and_query(server.url(), &old).await.expect("the first certificate");
    connect_and_query(server.url(), &new).await.map(drop).expect_err("an unknown CA");
    // A certificate without its key and a damaged file are not used: the previous pair stays in effect.
    std::fs::copy(others.path("server.pem"), ours.path("server.pem")).expect("copied");
    assert_stays(async || connect_and_query(server.url(), &old).await.is_ok()).await;
    std::fs::write(ours.path("server.pem"), "-----BEGIN CERTIFICATE-----\nbroken").expect("written");
    assert_stays(async || connect_and_query(server.url(), &old).await.is_ok()).await;
    std::fs::copy(others.path("server.key"), ours.path("server.key")).expect("copied");
    std::fs::copy(others.path("server.pem"), ours.path("server.pem")).expect("copied");
    wait_until("the new certificate is used", async || connect_and_query(server.url(), &new).await.is_ok())
        .await;
    connect_and_query(server.url(), &old)
        .await
        .map(drop)
        .expect_err("the old certificate is not used any more");
    assert_eq!(
        get_profile_status(&before).await.expect_err("unknown user").code(),
        Code::NotFound,
        "its connection stays open"
    );
}

#[test]
fn invalid_certificate_files_are_refused_at_startup_with_their_key() {
    let (ours, others) = (Certificates::make(), Certificates::make());
    let data = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(others.path("server.key"), ours.path("other.key")).expect("copied");
    std::fs::copy(ours.path("server.pem"), ours.path("other.pem")).expect("copied");
    std::fs::write(ours.path("empty.pem"), "").expect("written");
    let path = |name: &str| ours.path(name).display().to_string();
    let rows = [
        (with_tls(&ours, "missing", false), "server.tls_certificate names"),
        (with_tls(&ours, "other", false), "does not match its key"),
        (with_tls(&ours, "server", false)[..2].to_vec(), "server.tls_key is empty"),
        (
            [with_tls(&ours, "server", false), vec![format!("server.tls_client_ca={}", path("empty.pem"))]]
                .concat(),
            "has no certificate",
        ),
        (vec!["cluster.key=/etc/key.pem".to_owned()], "cluster.certificate is missing beside cluster.key"),
    ];
    for (settings, part) in rows {
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let message = Server::try_start(&data.path().join("store"), &arguments).err().expect(part);
        assert!(message.contains(part), "{part:?} is not in {message}");
        assert!(!data.path().join("store").exists(), "a store was created before {part:?} was reported");
    }
}
