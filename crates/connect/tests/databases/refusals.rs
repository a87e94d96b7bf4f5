//! Hosts, passwords and certificates that are refused.

use portrait_connect::databases::{
    AllowedHosts, ConnectOptions, Database, DatabaseUrl, Password, SourceError,
};
use portrait_connect::testing::{MariaDb, PASSWORD, Postgres};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Everything that an error shows, with its causes.
fn shown(error: &SourceError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

#[test]
fn urls_with_a_password_are_refused_and_not_repeated() {
    for url in [
        format!("postgres://portrait:{PASSWORD}@db/shop"),
        format!("mysql://portrait:{PASSWORD}@db:3306/shop"),
        format!("postgres://portrait@db/shop?password={PASSWORD}"),
    ] {
        let error = url.parse::<DatabaseUrl>().unwrap_err();
        assert!(matches!(error, SourceError::PasswordInUrl), "{error}");
        assert!(error.to_string().contains("--password-file"), "{error}");
        assert!(!shown(&error).contains(PASSWORD));
    }
}

#[test]
fn urls_are_read_in_full_or_refused() {
    let url: DatabaseUrl = "mariadb://a%40b@[::1]:4406/sh%2Fop?sslmode=require".parse().unwrap();
    assert_eq!((url.user(), url.host(), url.port(), url.database()), ("a@b", "::1", 4406, "sh/op"));
    assert!(url.requires_tls());
    assert_eq!(url.to_string(), "mysql://a@b@[::1]:4406/sh/op");
    let url: DatabaseUrl = "postgres://a&b=c+d@db/x".parse().unwrap();
    assert_eq!((url.user(), url.port(), url.requires_tls()), ("a&b=c+d", 5432, false));
    for defective in [
        "orders",
        "http://portrait@db/shop",
        "postgres:///shop",
        "postgres://db/shop",
        "postgres://portrait@db",
        "postgres://portrait@db/shop?sslmode=disable",
        "postgres://portrait@db/shop?options=x",
        "postgres://portrait@db/shop#x",
        "postgres://portrait@db/sh%00op",
    ] {
        let error = defective.parse::<DatabaseUrl>().unwrap_err();
        assert!(matches!(error, SourceError::Url { .. }), "{defective}: {error}");
    }
}

#[test]
fn a_password_is_the_first_line_of_a_file_and_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, format!("{PASSWORD}\r\nnext\n")).unwrap();
    let password = Password::from_file(&path).unwrap();
    assert!(!format!("{password:?} {:#?}", Some(&password)).contains(PASSWORD));
    for content in ["", "\nsecond", &"x".repeat(5000)] {
        std::fs::write(&path, content).unwrap();
        let error = Password::from_file(&path).unwrap_err();
        assert!(matches!(error, SourceError::PasswordFile { .. }), "{error}");
    }
    assert!(Password::from_file(Path::new("/nowhere")).is_err());
}

#[tokio::test]
async fn hosts_that_are_link_local_or_not_allowed_are_refused_before_a_connection() {
    let connect = async |host: &str, allow| {
        let url = format!("postgres://portrait@{host}/shop").parse().unwrap();
        Database::connect(&url, None, &ConnectOptions { allow, ..ConnectOptions::default() })
            .await
            .unwrap_err()
    };
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]"] {
        let error = connect(host, AllowedHosts::any()).await;
        assert!(matches!(error, SourceError::LinkLocal { .. }), "{host}: {error}");
    }
    let only = |entry: &str| AllowedHosts::from_entries(&[entry.to_owned()]).unwrap();
    for (host, allow) in
        [("127.0.0.1", "10.0.0.0/8"), ("localhost", "db.example.com"), ("localhost", "10.0.0.0/8")]
    {
        let error = connect(host, only(allow)).await;
        assert!(matches!(error, SourceError::HostNotAllowed { .. }), "{host}: {error}");
    }
}

#[tokio::test]
async fn no_error_of_a_login_shows_the_password() {
    let server = Postgres::start().await;
    let port = server.port();
    for url in [
        format!("postgres://portrait@127.0.0.1:{port}/absent"),
        format!("postgres://stranger@127.0.0.1:{port}/postgres"),
        format!("postgres://portrait@127.0.0.1:{port}/postgres?sslmode=require"),
        format!("mysql://portrait@127.0.0.1:{port}/postgres?sslmode=require"),
        "postgres://portrait@127.0.0.1:1/postgres".to_owned(),
        "mysql://portrait@127.0.0.1:1/postgres".to_owned(),
    ] {
        let options = ConnectOptions {
            connect_timeout: std::time::Duration::from_secs(5),
            ..ConnectOptions::default()
        };
        let error = server.connect(&url.parse().unwrap(), &options).await.unwrap_err();
        assert!(error.is_retryable(), "{url}: {error}");
        assert!(!shown(&error).contains(PASSWORD), "{url}");
    }
    assert!(!format!("{:?}", server.database().await).contains(PASSWORD));
}

/// Certificate and key of `localhost`, signed by nobody but themselves.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    assert!(openssl.arg("-out").arg(&cert).arg("-keyout").arg(&key).output().unwrap().status.success());
    (cert, key)
}

/// Checks that a server is trusted by its CA file and its name only.
async fn check_verified(url: impl Fn(&str) -> DatabaseUrl, password: &Password, cert: PathBuf) {
    let trusted = ConnectOptions { ca_file: Some(cert), ..ConnectOptions::default() };
    let connect =
        async |host, options: &ConnectOptions| Database::connect(&url(host), Some(password), options).await;
    portrait_connect::testing::eventually("TLS is on", async || connect("localhost", &trusted).await.ok())
        .await;
    let other_name = connect("127.0.0.1", &trusted).await;
    assert!(matches!(other_name, Err(SourceError::Connect { .. })), "{other_name:?}");
    // Without the CA file no root vouches for it; some machines have no roots at all.
    let untrusted = connect("localhost", &ConnectOptions::default()).await;
    let is_refused = matches!(untrusted, Err(SourceError::Connect { .. } | SourceError::TlsRoots { .. }));
    assert!(is_refused, "{untrusted:?}");
}

#[tokio::test]
async fn certificates_of_postgres_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    let server = Postgres::start().await;
    let admin = server.admin().await;
    for (setting, file) in [("ssl_cert_file", &cert), ("ssl_key_file", &key)] {
        let copy = server.folder().join(file.file_name().unwrap());
        std::fs::copy(file, &copy).unwrap();
        Command::new("chown").arg("--reference").arg(server.folder()).arg(&copy).status().unwrap();
        Command::new("chmod").arg("600").arg(&copy).status().unwrap();
        admin.run(&format!("ALTER SYSTEM SET {setting} = '{}'", copy.display())).await;
    }
    admin.run("ALTER SYSTEM SET ssl = on").await;
    admin.run("SELECT pg_reload_conf()").await;
    let port = server.port();
    let url =
        |host: &str| format!("postgres://portrait@{host}:{port}/postgres?sslmode=require").parse().unwrap();
    check_verified(url, &server.password(), cert).await;
}

#[tokio::test]
async fn certificates_of_mariadb_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap();
    let settings = [format!("--ssl-cert={}", cert.display()), format!("--ssl-key={}", key.display())];
    let server = MariaDb::start_with(&settings).await;
    let port = server.port();
    let url = |host: &str| format!("mysql://portrait@{host}:{port}/shop?sslmode=require").parse().unwrap();
    check_verified(url, &server.password(), cert).await;
}

/// Packet of MySQL's protocol.
fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(payload.len()).unwrap().to_le_bytes()[..3].to_vec();
    packet.push(number);
    packet.extend(payload);
    packet
}

/// Server that answers the first statement of a client by asking for a file of the client's, and returns what comes back.
async fn file_thief(listener: TcpListener, wanted: PathBuf) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    // Protocol 41, a database at login, local files, secure passwords by named plugins.
    let capabilities = (0x200_u32 | 0x8 | 0x80 | 0x8000 | 0x8_0000).to_le_bytes();
    let mut greeting = b"\x0a5.7.0\0\x01\0\0\0saltsalt\0".to_vec();
    greeting.extend(&capabilities[..2]);
    greeting.extend(b"\x21\x02\0");
    greeting.extend(&capabilities[2..]);
    greeting.extend(b"\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0");
    stream.write_all(&packet(0, &greeting)).await.unwrap();
    let mut buffer = vec![0; 4096];
    assert!(stream.read(&mut buffer).await.unwrap() > 0, "a login");
    stream.write_all(&packet(2, b"\0\0\0\x02\0\0\0")).await.unwrap();
    assert!(stream.read(&mut buffer).await.unwrap() > 0, "a statement");
    let request = [b"\xfb", wanted.as_os_str().as_encoded_bytes()].concat();
    stream.write_all(&packet(1, &request)).await.unwrap();
    let mut stolen = Vec::new();
    // The client hangs up, with or without a farewell.
    let _ = stream.read_to_end(&mut stolen).await;
    stolen
}

#[tokio::test]
async fn a_server_of_mysql_cannot_read_local_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "contents of a file").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mysql://portrait@{}/shop", listener.local_addr().unwrap()).parse().unwrap();
    let options = ConnectOptions::default();
    let (stolen, connected) =
        tokio::join!(file_thief(listener, file), Database::connect(&url, None, &options));
    let error = connected.unwrap_err();
    assert!(shown(&error).contains("local infile"), "{}", shown(&error));
    assert!(!String::from_utf8_lossy(&stolen).contains("contents"), "{stolen:?}");
}
