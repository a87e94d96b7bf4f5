//! Names of environment variables. A variable with the name of this program that nothing reads is a slip: what it was meant to set
//! keeps its default in silence.

use super::diagnosis::edit_distance;

/// Prefix of all environment variables that set configuration keys.
pub(super) const PREFIX: &str = "PORTRAIT__";
/// Name of the program in variables, in any case.
const PROGRAM: &str = "PORTRAIT_";
/// Variables that are no configuration key: the token of a caller, the commit of a build, and those of tests and scripts.
const OTHERS: [&str; 4] = ["PORTRAIT_TOKEN", "PORTRAIT_COMMIT", "PORTRAIT_DATA", "PORTRAIT_BINARY"];
/// Begins of the names of further variables of tests and scripts.
const OTHER_PREFIXES: [&str; 6] = [
    "PORTRAIT_BENCH",
    "PORTRAIT_FAULT_",
    "PORTRAIT_PYTHON",
    "PORTRAIT_SIMULATION_",
    "PORTRAIT_TEST_",
    "PORTRAIT_UNDER_TEST",
];
/// Ends of the names that Kubernetes gives to the variables of a service.
const SERVICE_ENDS: [&str; 6] = ["_SERVICE_HOST", "_PORT", "_PROTO", "_ADDR", "_TCP", "_UDP"];

/// Returns the name of the environment variable of a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Returns the most similar name of a variable that is read, if `name` is of this program and nothing reads it.
pub(super) fn meant(name: &str, keys: &[String]) -> Option<String> {
    let is_program = name.get(..PROGRAM.len())?.eq_ignore_ascii_case(PROGRAM);
    // A variable with the whole prefix is a key, known or refused as such.
    if !is_program || name.starts_with(PREFIX) || is_other(name) || is_of_service(name) {
        return None;
    }
    let given = letters(&name[PROGRAM.len()..]);
    let of_keys = keys.iter().map(|key| (key_distance(&given, key), variable_of(key)));
    let of_others =
        OTHERS.map(|other| (edit_distance(&given, &letters(&other[PROGRAM.len()..])), other.to_owned()));
    of_keys.chain(of_others).min().map(|(_, known)| known)
}

/// Returns the distance of a name to a key, or to its last part: PORTRAIT_LISTEN means `server.listen`.
fn key_distance(given: &str, key: &str) -> usize {
    let last = key.rsplit('.').next().unwrap_or(key);
    edit_distance(given, &letters(key)).min(edit_distance(given, &letters(last)) + 1)
}

/// Returns the letters of a name: underscores and case are the usual slips, so that they do not count.
fn letters(text: &str) -> String {
    text.replace(['_', '.'], "").to_ascii_uppercase()
}

fn is_other(name: &str) -> bool {
    OTHERS.contains(&name) || OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns whether Kubernetes makes a variable of this name for a service: of a service `portrait-query` it makes
/// `PORTRAIT_QUERY_SERVICE_HOST`, `PORTRAIT_QUERY_SERVICE_PORT_GRPC`, `PORTRAIT_QUERY_PORT`, and
/// `PORTRAIT_QUERY_PORT_50051_TCP_ADDR` with its kind.
fn is_of_service(name: &str) -> bool {
    SERVICE_ENDS.iter().any(|end| name.ends_with(end)) || name.contains("_SERVICE_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_is_refused_with_the_nearest_one() {
        let keys = ["store.url", "store.url_file", "server.listen", "server.max_calls", "log.filter"];
        let keys = keys.map(str::to_owned);
        let refused = [
            ("PORTRAIT_STORE_URL", "PORTRAIT__STORE__URL"),
            ("portrait__store__url", "PORTRAIT__STORE__URL"),
            ("Portrait_Store_Url", "PORTRAIT__STORE__URL"),
            ("PORTRAIT_LISTEN", "PORTRAIT__SERVER__LISTEN"),
            ("PORTRAIT_LOG_FILTR", "PORTRAIT__LOG__FILTER"),
            ("PORTRAIT_LOG_LEVEL", "PORTRAIT__LOG__FILTER"),
            ("PORTRAIT_TOKN", "PORTRAIT_TOKEN"),
            ("portrait_token", "PORTRAIT_TOKEN"),
        ];
        for (name, known) in refused {
            assert_eq!(meant(name, &keys).as_deref(), Some(known), "{name}");
        }
        let passed = [
            "PORTRAIT__STORE__URL",
            "PORTRAIT__STORE__ULR",
            "PORTRAIT_TOKEN",
            "PORTRAIT_DATA",
            "PORTRAIT_FAULT_CYCLES",
            "PORTRAIT",
            "PORTRAITS",
            "PATH",
            "ÄÖÜÄÖÜ",
            "PORTRAIT_QUERY_PORT",
            "PORTRAIT_QUERY_SERVICE_HOST",
            "PORTRAIT_QUERY_SERVICE_PORT",
            "PORTRAIT_QUERY_SERVICE_PORT_GRPC",
            "PORTRAIT_QUERY_PORT_50051_TCP",
            "PORTRAIT_QUERY_PORT_50051_TCP_ADDR",
            "PORTRAIT_QUERY_PORT_50051_TCP_PORT",
            "PORTRAIT_QUERY_PORT_50051_TCP_PROTO",
        ];
        for name in passed {
            assert_eq!(meant(name, &keys), None, "{name}");
        }
    }
}
