//! Classes of the commands that a store sends. A refusal is counted and reported by class, so that labels and log lines are bounded.

/// Class of a command, as the label `command` of the metrics names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandClass {
    /// Authentication and the first commands of a connection.
    Connect,
    /// Script of a step that changes or reads a partition, the members or the models.
    Script,
    /// Command on keys.
    Key,
    /// Subscription or publication of a channel.
    Channel,
    /// Wait for replicas or the disk.
    Wait,
    /// Map of the slots of a cluster.
    Cluster,
    /// Rewrite of the server's files.
    Rewrite,
}

impl CommandClass {
    /// All classes.
    pub const ALL: [Self; 7] =
        [Self::Connect, Self::Script, Self::Key, Self::Channel, Self::Wait, Self::Cluster, Self::Rewrite];

    /// Returns the value of the label `command`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Script => "script",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Wait => "wait",
            Self::Cluster => "cluster",
            Self::Rewrite => "rewrite",
        }
    }
}
