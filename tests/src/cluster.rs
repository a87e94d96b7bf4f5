//! A deployment of processes that share a Redis: as many of each role as a test wants, on free loopback ports. In comes the address
//! of the store, out goes a deployment that dies with its handle.

use crate::process::{Release, Server};
use crate::until;
use portrait_client::RoleRouter;

/// Roles in the order in which they are started: each may need to know where those before it are.
const ROLES: [&str; 4] = ["feature", "model", "ingest", "query"];

/// A deployment.
pub struct Cluster {
    store: String,
    settings: Vec<String>,
    servers: Vec<(&'static str, Server)>,
    /// Of which release those are that are started.
    release: Release,
}

impl Cluster {
    /// One process of each role over the store at `store`, each with `settings`, as `feature.lease_ttl=1s`.
    ///
    /// # Panics
    /// If one does not start; with what it wrote.
    pub fn start(store: &str, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster =
            Self { store: store.to_owned(), settings, servers: Vec::new(), release: Release::This };
        ROLES.into_iter().for_each(|role| cluster.add(role));
        cluster
    }

    /// From now on, those that are started are of that release.
    pub fn set_release(&mut self, release: Release) {
        self.release = release;
    }

    /// Starts one more process of a role.
    ///
    /// # Panics
    /// If it does not start; with what it wrote.
    pub fn add(&mut self, role: &str) {
        self.add_over(role, &self.store.clone());
    }

    /// As [`Self::add`], where that process finds the same store at another address.
    ///
    /// # Panics
    /// If it does not start; with what it wrote.
    pub fn add_over(&mut self, role: &str, store: &str) {
        self.add_at("127.0.0.1:0", role, store);
    }

    /// Stops the first process of a role in order, and starts another at its address, as one that is updated; returns when that is
    /// ready.
    ///
    /// # Panics
    /// If it does not end well, or the other does not start.
    pub async fn renew(&mut self, role: &str) {
        let old = self.take(role);
        let listen = old.grpc_url().trim_start_matches("http://").to_owned();
        let ended = tokio::task::spawn_blocking(|| old.stop()).await.expect("it can be waited for");
        assert!(ended.success(), "{role} ended with {ended}");
        self.add_at(&listen, role, &self.store.clone());
        let (_, new) = self.servers.last().expect("it was just added");
        until("the new one is ready", async || new.http_get("/readyz").contains("200 OK")).await;
    }

    fn add_at(&mut self, listen: &str, role: &str, store: &str) {
        let mut settings = self.settings.clone();
        settings.extend(self.url("feature").map(|url| format!("model.features={url}")));
        settings.extend(self.url("model").map(|url| format!("profiles.models={url}")));
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let started = Server::try_start_at(self.release, listen, role, store, &arguments);
        let server = started.unwrap_or_else(|said| panic!("{role} did not start: {said}"));
        self.put_back(role, server);
    }

    /// Takes a process of a role in, as one that was taken out and lives on.
    ///
    /// # Panics
    /// If there is no such role.
    pub fn put_back(&mut self, role: &str, server: Server) {
        let role = ROLES.into_iter().find(|known| *known == role).expect("a role");
        self.servers.push((role, server));
    }

    /// Takes the first process of a role out of the deployment, to be stopped or killed.
    ///
    /// # Panics
    /// If there is none.
    pub fn take(&mut self, role: &str) -> Server {
        self.take_at(role, 0)
    }

    /// As [`Self::take`], for the process of a role that was started after `earlier` others that are still there.
    ///
    /// # Panics
    /// If there are no more than that.
    pub fn take_at(&mut self, role: &str, earlier: usize) -> Server {
        let mut of_role = self.servers.iter().enumerate().filter(|(_, (known, _))| *known == role);
        let (place, _) = of_role.nth(earlier).expect("there is one");
        self.servers.remove(place).1
    }

    /// The processes of a role.
    pub fn of(&self, role: &str) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(move |(known, _)| *known == role).map(|(_, server)| server)
    }

    /// The address of the whole, as the commands take it.
    pub fn address(&self) -> String {
        let named: Vec<String> =
            self.servers.iter().map(|(role, server)| format!("{role}={}", server.grpc_url())).collect();
        named.join(",")
    }

    /// A connection to every role.
    pub async fn connect(&self) -> RoleRouter {
        crate::connect(&self.address()).await
    }

    fn url(&self, role: &str) -> Option<&str> {
        self.of(role).next().map(Server::grpc_url)
    }
}
