//! Deployment of processes that share a Redis: any number of each role, on free loopback ports. The processes are killed when the
//! handle is dropped.

use crate::process::{Release, Server};
use crate::wait_until;
use portrait_client::RoleRouter;

/// Roles in start order: a process is configured with the addresses of the roles before it.
const ROLES: [&str; 4] = ["feature", "model", "ingest", "query"];

/// Running deployment of server processes.
pub struct Cluster {
    store: String,
    settings: Vec<String>,
    servers: Vec<(&'static str, Server)>,
    /// Release of the processes started from now on.
    release: Release,
}

impl Cluster {
    /// Starts one process of each role with the store at `store`; `settings` are entries such as `feature.lease_ttl=1s`.
    ///
    /// # Panics
    /// If a process does not start; the message contains its stderr.
    pub fn start(store: &str, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster =
            Self { store: store.to_owned(), settings, servers: Vec::new(), release: Release::This };
        ROLES.into_iter().for_each(|role| cluster.add(role));
        cluster
    }

    /// Sets the release of the processes started from now on.
    pub fn set_release(&mut self, release: Release) {
        self.release = release;
    }

    /// Starts one more process of a role.
    ///
    /// # Panics
    /// If the process does not start; the message contains its stderr.
    pub fn add(&mut self, role: &str) {
        self.add_over(role, &self.store.clone());
    }

    /// Starts one more process of a role that reaches the same store at another address.
    ///
    /// # Panics
    /// If the process does not start; the message contains its stderr.
    pub fn add_over(&mut self, role: &str, store: &str) {
        self.add_at("127.0.0.1:0", role, store);
    }

    /// Stops the first process of a role gracefully and starts a replacement at the same address, as a rolling update does; returns when
    /// the replacement is ready.
    ///
    /// # Panics
    /// If the old process exits with a failure, or the replacement does not start.
    pub async fn replace(&mut self, role: &str) {
        let old = self.take(role);
        let listen = old.grpc_url().trim_start_matches("http://").to_owned();
        let exit = tokio::task::spawn_blocking(|| old.stop()).await.expect("the wait does not panic");
        assert!(exit.success(), "{role} exited with {exit}");
        self.start_again(&listen, role).await;
    }

    /// Kills the first process of a role with SIGKILL and starts it again at the same address, which is its name; returns when it is
    /// ready.
    ///
    /// # Panics
    /// If the process does not start again.
    pub async fn kill_and_restart(&mut self, role: &str) {
        let killed = self.take(role);
        let listen = killed.grpc_url().trim_start_matches("http://").to_owned();
        killed.kill();
        self.start_again(&listen, role).await;
    }

    async fn start_again(&mut self, listen: &str, role: &str) {
        self.add_at(listen, role, &self.store.clone());
        let (_, replacement) = self.servers.last().expect("it was just added");
        wait_until("the replacement is ready", async || replacement.http_get("/readyz").contains("200 OK"))
            .await;
    }

    fn add_at(&mut self, listen: &str, role: &str, store: &str) {
        let mut settings = self.settings.clone();
        settings.extend(self.url("feature").map(|url| format!("model.features={url}")));
        settings.extend(self.url("model").map(|url| format!("profiles.models={url}")));
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let started = Server::try_start_at(self.release, listen, role, store, &arguments);
        let server = started.unwrap_or_else(|message| panic!("{role} did not start: {message}"));
        self.insert(role, server);
    }

    /// Adds a running process of a role that [`Self::take`] removed.
    ///
    /// # Panics
    /// If the role does not exist.
    pub fn insert(&mut self, role: &str, server: Server) {
        let role = ROLES.into_iter().find(|known| *known == role).expect("a role");
        self.servers.push((role, server));
    }

    /// Removes the first process of a role from the deployment, to be stopped or killed.
    ///
    /// # Panics
    /// If the role has no process.
    pub fn take(&mut self, role: &str) -> Server {
        self.take_at(role, 0)
    }

    /// Removes the process of a role at `index`, in start order.
    ///
    /// # Panics
    /// If the role has no process at `index`.
    pub fn take_at(&mut self, role: &str, index: usize) -> Server {
        let mut of_role = self.servers.iter().enumerate().filter(|(_, (known, _))| *known == role);
        let (at, _) = of_role.nth(index).expect("a process at the index");
        self.servers.remove(at).1
    }

    /// Processes of a role, in start order.
    pub fn servers_of(&self, role: &str) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(move |(known, _)| *known == role).map(|(_, server)| server)
    }

    /// Address of the deployment in the format of `--to`: `role=url,...`.
    pub fn address(&self) -> String {
        let named: Vec<String> =
            self.servers.iter().map(|(role, server)| format!("{role}={}", server.grpc_url())).collect();
        named.join(",")
    }

    /// Connects to every role.
    pub async fn connect(&self) -> RoleRouter {
        crate::connect(&self.address()).await
    }

    fn url(&self, role: &str) -> Option<&str> {
        self.servers_of(role).next().map(Server::grpc_url)
    }
}
