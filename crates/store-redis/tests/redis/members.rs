//! Membership on Redis: a heartbeat that changes nothing sends no list, and members of the release before are noticed, which writes
//! the hash of members alone.

use super::fixture::{NOW, open};
use portrait_profile::TimeDelta;
use portrait_store::{AckLevel, Member, MembershipStore};
use portrait_store_redis::RedisStore;
use portrait_store_redis::testing::Server;

const TTL: TimeDelta = TimeDelta::from_days(1);

async fn heartbeat(store: &RedisStore, name: &str) -> Vec<String> {
    let members = store.heartbeat(&Member::named(name), TTL, NOW).await.expect("there");
    sorted(members)
}

fn sorted(members: Vec<Member>) -> Vec<String> {
    let mut names: Vec<String> = members.into_iter().map(|member| member.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_heartbeat_without_a_change_of_members_reads_none_of_them() {
    let server = Server::start(&[]);
    let one = open(&server.url(), AckLevel::Memory).await;
    let two = open(&server.url(), AckLevel::Memory).await;
    heartbeat(&one, "one").await;
    heartbeat(&two, "two").await;
    assert_eq!(heartbeat(&one, "one").await, ["one", "two"]);
    server.command::<()>("CONFIG RESETSTAT");
    for _ in 0..10 {
        assert_eq!(heartbeat(&one, "one").await, ["one", "two"]);
        assert_eq!(heartbeat(&two, "two").await, ["one", "two"]);
        assert_eq!(sorted(two.members(NOW).await.expect("there")), ["one", "two"]);
    }
    assert!(server.info("cmdstat_evalsha").is_some_and(|calls| calls.starts_with("calls=30,")));
    assert_eq!(server.info("cmdstat_hgetall"), None, "the members were read");
    two.deregister(Member::named("two").id).await.expect("there");
    assert_eq!(heartbeat(&one, "one").await, ["one"]);
    assert_eq!(heartbeat(&two, "renamed").await, ["one", "renamed"]);
}

#[tokio::test]
async fn members_of_the_release_before_come_stay_and_go() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let id = "000000000000000000000000000000aa";
    // Writes what the heartbeat of that release writes: the field of a hash, with expiry and name.
    let write = |expiry: &str| {
        let script = "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]..string.char(32)..ARGV[3])";
        server.command::<()>(&format!("EVAL {script} 1 {{portrait:workers}} {id} {expiry} old"));
    };
    heartbeat(&store, "new").await;
    write("99999999999999");
    assert_eq!(heartbeat(&store, "new").await, ["new", "old"]);
    // Extended in the hash alone: the index has an expiry that has passed.
    server.command::<()>(&format!("ZADD {{portrait:workers}}:expiries 1 {id}"));
    assert_eq!(heartbeat(&store, "new").await, ["new", "old"]);
    write("1");
    server.command::<()>(&format!("ZADD {{portrait:workers}}:expiries 1 {id}"));
    assert_eq!(heartbeat(&store, "new").await, ["new"]);
    write("99999999999999");
    assert_eq!(heartbeat(&store, "new").await, ["new", "old"]);
    server.command::<()>(&format!("HDEL {{portrait:workers}} {id}"));
    assert_eq!(heartbeat(&store, "new").await, ["new"]);
}
