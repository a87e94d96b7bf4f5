//! TLS: who is let in by a certificate, what becomes of who is not, and certificates that change under a running server.

use super::{SecuredServer, asked, caller, command, holds, nodes, served, with_tls};
use portrait_runtime::peer::PresentedCredentials;
use portrait_store_redis::testing::Certificates;
use portrait_tests::{Server, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_let_in_by_a_certificate_that_is_good_and_by_no_other() {
    let (ours, strangers) = (Certificates::make(), Certificates::make());
    ours.caller("engine");
    ours.expired_caller("late");
    strangers.caller("stranger");
    let house = SecuredServer::start(&with_tls(&ours, "server", true));
    let url = house.url();
    assert!(url.starts_with("https://"), "{url}");
    let good = caller(&ours, Some((&ours, "engine")), None);
    let friend = served(url, &good).await.expect("a good certificate");
    let refused = [
        ("none", caller(&ours, None, None)),
        ("an expired one", caller(&ours, Some((&ours, "late")), None)),
        ("a stranger's", caller(&ours, Some((&strangers, "stranger")), None)),
        ("one that trusts others", caller(&strangers, Some((&ours, "engine")), None)),
    ];
    for (what, presented) in refused {
        let told = served(url, &presented).await.map(drop).expect_err(what);
        assert!(!told.contains("NotFound"), "{what}: {told}");
    }
    let plain = url.replace("https://", "http://");
    served(&plain, &PresentedCredentials::default()).await.map(drop).expect_err("plaintext");
    let mut plain = TcpStream::connect(plain.trim_start_matches("http://")).expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // It may be told what is wrong in TLS's own words, and then it is closed.
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    // Who was let in before is still answered, and whoever comes now is as well.
    assert_eq!(asked(&friend).await.expect_err("nobody").code(), Code::NotFound);
    served(url, &good).await.expect("a good certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_call_over_tls_and_the_process_calls_itself() {
    let ours = Certificates::make();
    ours.caller("operator");
    let house = SecuredServer::start(&with_tls(&ours, "server", true));
    let path = |name: &str| ours.path(name).display().to_string();
    let (ca, certificate, key) = (path("signer.pem"), path("operator.pem"), path("operator.key"));
    let shown = ["--to", house.url(), "--ca", &ca, "--cert", &certificate, "--key", &key];
    let (well, said) = command(&[&["probe"], &shown[..]].concat(), None);
    assert!(well, "{said}");
    // A process watches the models of its own model service without a certificate of its own.
    let peer = served(house.url(), &caller(&ours, Some((&ours, "operator")), None)).await.expect("let in");
    until("it is among the nodes", async || nodes(&peer).await == 1).await;
    let (well, said) = command(&["probe", "--timeout", "1", "--to", house.url(), "--ca", &ca], None);
    assert!(!well && said.contains("the probe has tried for 1 s"), "{said}");
    let (well, said) =
        command(&["probe", "--timeout", "1", "--to", house.url(), "--cert", &certificate], None);
    assert!(!well && said.contains("--key is missing beside --cert"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_shown_from_then_on_and_a_broken_one_never() {
    let (ours, others) = (Certificates::make(), Certificates::make());
    let house = SecuredServer::start(&with_tls(&ours, "server", false));
    let (old, new) = (caller(&ours, None, None), caller(&others, None, None));
    let before = served(house.url(), &old).await.expect("the first certificate");
    served(house.url(), &new).await.map(drop).expect_err("signed by nobody it knows");
    // The certificate alone does not go with the key, and a broken file is no certificate at all: the old ones hold meanwhile.
    std::fs::copy(others.path("server.pem"), ours.path("server.pem")).expect("copied");
    holds(async || served(house.url(), &old).await.is_ok()).await;
    std::fs::write(ours.path("server.pem"), "-----BEGIN CERTIFICATE-----\nbroken").expect("written");
    holds(async || served(house.url(), &old).await.is_ok()).await;
    std::fs::copy(others.path("server.key"), ours.path("server.key")).expect("copied");
    std::fs::copy(others.path("server.pem"), ours.path("server.pem")).expect("copied");
    until("the new certificate is shown", async || served(house.url(), &new).await.is_ok()).await;
    served(house.url(), &old).await.map(drop).expect_err("the old certificate is shown no more");
    assert_eq!(asked(&before).await.expect_err("nobody").code(), Code::NotFound, "its connection goes on");
}

#[test]
fn files_that_do_not_fit_are_refused_at_the_start_with_their_key() {
    let (ours, others) = (Certificates::make(), Certificates::make());
    let data = tempfile::tempdir().expect("a folder");
    std::fs::copy(others.path("server.key"), ours.path("other.key")).expect("copied");
    std::fs::copy(ours.path("server.pem"), ours.path("other.pem")).expect("copied");
    std::fs::write(ours.path("empty.pem"), "").expect("written");
    let path = |name: &str| ours.path(name).display().to_string();
    let rows = [
        (with_tls(&ours, "missing", false), "server.tls_certificate names"),
        (with_tls(&ours, "other", false), "does not go with its key"),
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
        let said = Server::try_start(&data.path().join("store"), &arguments).err().expect(part);
        assert!(said.contains(part), "{part:?} is not in {said}");
        assert!(!data.path().join("store").exists(), "a store was made before {part:?} was told");
    }
}
