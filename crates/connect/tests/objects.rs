//! Objects of a bucket, read from a real server with the API of S3: moto, a package of Python that `scripts/setup` installs.

#![cfg(feature = "objects")]
#![allow(clippy::disallowed_methods, reason = "tests wait in real time")]

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use portrait_connect::objects::{ObjectError, Objects};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Server with one empty bucket, `shop`.
struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/moto_server");
        assert!(server.exists(), "{} is missing: run scripts/setup", server.display());
        let process = Command::new(server)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let moto = Self { process, url: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while !moto.creates_bucket(port) {
            assert!(begun.elapsed() < TIMEOUT, "moto does not answer");
            std::thread::yield_now();
        }
        moto
    }

    /// Creates the bucket; false while the server is not there yet.
    fn creates_bucket(&self, port: u16) -> bool {
        use std::io::Write;
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let request =
            "PUT /shop HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let mut line = String::new();
        stream.write_all(request.as_bytes()).is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && line.contains(" 200 ")
    }

    fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", &*self.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "someone"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Writes an object, as another program would.
    async fn put(&self, key: &str, content: &str) {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("someone")
            .with_secret_access_key("a-secret")
            .with_bucket_name("shop")
            .build()
            .expect("a bucket");
        store.put(&ObjectPath::from(key), content.to_owned().into()).await.expect("stored");
    }

    fn open(&self, address: &str) -> Objects {
        Objects::open(address.parse().expect("an address"), self.environment()).expect("settings")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn keys(objects: &mut Objects) -> Vec<String> {
    objects.new_objects().await.expect("listed").into_iter().map(|object| object.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_changed_objects_of_a_prefix_are_found_once_in_the_order_of_their_keys() {
    let moto = Moto::start();
    let mut objects = moto.open("s3://shop/logs/*.csv");
    assert_eq!(keys(&mut objects).await, [""; 0]);
    for key in ["logs/b.csv", "logs/a/c.csv", "logs/a.txt", "other/a.csv"] {
        moto.put(key, "first").await;
    }
    assert_eq!(keys(&mut objects).await, ["logs/a/c.csv", "logs/b.csv"]);
    assert_eq!(keys(&mut objects).await, [""; 0]);
    moto.put("logs/b.csv", "it has grown").await;
    moto.put("logs/c.csv", "new").await;
    let found = objects.new_objects().await.expect("listed");
    let folder = tempfile::tempdir().expect("a folder");
    let mut contents = Vec::new();
    for object in &found {
        let copy = folder.path().join("copy");
        objects.copy_to(object, &copy, |_| {}).await.expect("copied");
        contents.push((object.key.clone(), std::fs::read_to_string(&copy).expect("a file")));
    }
    let expected = [("logs/b.csv", "it has grown"), ("logs/c.csv", "new")];
    assert_eq!(contents, expected.map(|(key, content)| (key.to_owned(), content.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_read_says_what_to_check_and_no_secret() {
    let moto = Moto::start();
    let address = || "s3://absent/logs/".parse().expect("an address");
    let mut objects = Objects::open(address(), moto.environment()).expect("settings");
    let error = objects.new_objects().await.expect_err("no such bucket");
    assert!(error.to_string().contains("the name of the bucket"), "{error}");
    let chain = format!("{error:?} {objects:?}");
    assert!(!chain.contains("a-secret"), "{chain}");
    let error = Objects::open(address(), []).expect_err("no credentials");
    assert!(matches!(error, ObjectError::Credentials), "{error}");
}
