//! Rows of an import as the command reports them: what is taken, what is rejected and where, in which order users receive them, and
//! that commands which replay a log read the same rows.

use portrait_tests::{Server, portrait_command};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

const REES46: &str =
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n";

/// Server whose profiles are read at the time of the events, and a folder for files.
struct Shop {
    folder: TempDir,
    server: Server,
}

/// Outcome of a command.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Outcome {
    let output = portrait_command().args(arguments).output().expect("a running process");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

fn written(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = ["--set", "model.automatic=false", "--set", "profiles.clock=events"];
        let server = Server::start(&folder.path().join("store"), &settings);
        Self { folder, server }
    }

    /// Imports a file with these rows.
    fn import(&self, content: impl AsRef<[u8]>, format: &str, more: &[&str]) -> Outcome {
        let file = written(&self.folder, "log", content);
        let known = ["import", text(&file), "--format", format, "--to", self.server.grpc_url()];
        run(&[&known[..], more].concat())
    }

    fn profile(&self, user_id: &str) -> Value {
        let outcome = run(&["profile", user_id, "--json", "--to", self.server.grpc_url()]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }
}

#[test]
fn a_bad_cell_costs_its_row_and_is_written_to_the_file_of_rejects() {
    let shop = Shop::open();
    let log = format!(
        "{REES46}2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,7001,s\n\
         2019-10-01 00:00:01 UTC,view,1,2,a.b,x,,7001,s\n\
         2019-10-01 00:00:02 UTC,view,2,2,a.b,x,2.62,7001,s\n\
         2019-10-01 00:00:03 UTC,view,3,2,a.b,x,\"1.299,00\",7001,s\n\
         2019-10-01 00:00:04 UTC,view,4,2,a.b,x,2.62,7001,s\n\
         1999-10-01 00:00:04 UTC,view,4,2,a.b,x,2.62,7001,s\n"
    );
    let rejects = written(&shop.folder, "rejects.csv", "an earlier file, which others may read");
    let outcome = shop.import(&log, "rees46", &["--rejects", text(&rejects)]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    for part in [
        "line 5, column 7 (price): \"1.299,00\" is not a number",
        "line 7, column 1 (occurred_at): lies ",
        "rejected, BAD_NUMBER",
        "rejected, TIME_TOO_OLD",
    ] {
        assert!(outcome.stdout.contains(part), "{part:?} is not in {outcome:?}");
    }
    assert!(outcome.stderr.contains("2 of 6 rows were rejected"), "{outcome:?}");
    assert_eq!(shop.profile("7001")["applied_events"], 4);

    let mode = rejects.metadata().expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&rejects).expect("a text");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "line,column,reason,raw"), "{written}");
    assert!(lines[1].starts_with("5,7,") && lines[1].contains("BAD_NUMBER"), "{written}");
    assert!(
        lines[1].ends_with(",\"2019-10-01 00:00:03 UTC,view,3,2,a.b,x,\"\"1.299,00\"\",7001,s\""),
        "{written}"
    );
    assert!(lines[2].starts_with("7,1,") && lines[2].contains("TIME_TOO_OLD"), "{written}");
    assert!(lines[2].ends_with(",\"1999-10-01 00:00:04 UTC,view,4,2,a.b,x,2.62,7001,s\""), "{written}");

    assert_eq!(shop.import(&log, "rees46", &["--max-rejects", "2"]).code, Some(3));
    let outcome = shop.import(&log, "rees46", &["--max-rejects", "1"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("more than 1 row"), "{outcome:?}");
    let log_path = shop.folder.path().join("log");
    let outcome = shop.import(&log, "rees46", &["--rejects", text(&log_path)]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(std::fs::read_to_string(&log_path).expect("a text"), log, "the log is not overwritten");
}

#[test]
fn objects_may_have_null_blank_lines_and_the_form_of_an_array() {
    let shop = Shop::open();
    let at = "\"occurred_at\":\"2026-01-01T00:00:00Z\"";
    let null = format!(
        "{{\"user_id\":\"j1\",\"action\":\"view\",{at},\"item_id\":\"a\",\"category\":null,\"price\":null}}\n"
    );
    assert_eq!(shop.import(null, "jsonl", &[]).code, Some(0));
    assert_eq!(shop.profile("j1")["applied_events"], 1);
    let row = |user: &str, action: &str| format!("{{\"user_id\":{user},\"action\":\"{action}\",{at}}}");
    let blank = format!("\u{feff}{}\n\n{}\n\n", row("\"j3\"", "view"), row("\"j3\"", "click"));
    assert_eq!(shop.import(blank, "jsonl", &[]).code, Some(0));
    assert_eq!(shop.profile("j3")["applied_events"], 2);
    let array =
        format!("[{},\n {}, {}]", row("17850", "view"), row("17850.0", "click"), row("\"17850\"", "share"));
    assert_eq!(shop.import(array, "jsonl", &[]).code, Some(0));
    assert_eq!(shop.profile("17850")["applied_events"], 3);
    let page = "{\"userId\":\"j5\",\"action\":\"addToCart\",\"timestamp\":1767225600123,\"itemId\":7}\n";
    assert_eq!(shop.import(page, "jsonl", &[]).code, Some(0));
    assert_eq!(shop.profile("j5")["applied_events"], 1);
}

#[test]
fn the_offset_of_a_time_is_honoured() {
    let shop = Shop::open();
    let rows = [
        ("7002", "2019-10-01 03:00:00+03:00"),
        ("7003", "2019-10-01T00:00:00Z"),
        ("7004", "2019-09-30 20:00:00-04"),
        ("7005", "2019-10-01 08:00:00+08:00 UTC"),
    ];
    for (user, time) in rows {
        let log = format!("{REES46}{time},view,1,2,a.b,x,2.62,{user},s\n");
        assert_eq!(shop.import(log, "rees46", &[]).code, Some(0), "{time}");
        let profile = shop.profile(user);
        assert_eq!(profile["behavior"]["newest_event_at"], "2019-10-01T00:00:00Z", "{time}: {profile:#}");
    }
}

#[test]
fn a_grown_or_exported_file_changes_nothing_but_what_is_new() {
    let shop = Shop::open();
    let header = "user_id,brand_id,type,visit_datetime\n";
    assert_eq!(shop.import(format!("{header}5,7,1,7-20\n5,8,0,7-20\n"), "tmall", &[]).code, Some(0));
    let grown = format!("{header}6,7,1,7-19\n5,7,1,7-20\n5,8,0,7-20\n");
    assert_eq!(shop.import(grown, "tmall", &[]).code, Some(0));
    assert_eq!(shop.profile("5")["applied_events"], 2);
    assert_eq!(shop.profile("6")["applied_events"], 1);
    let kaggle = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                  536365,85123A,WHITE LANTERN,6,12/1/2010 8:26,2.55,17850,United Kingdom\n";
    let latin1 = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                   536365,85123A,BOX \xa35,6,2010-12-01 08:26:00,2.550,17850.0,United Kingdom\n";
    assert_eq!(shop.import(kaggle, "online-retail", &[]).code, Some(0));
    assert_eq!(shop.import(latin1, "online-retail", &[]).code, Some(0));
    assert_eq!(shop.profile("17850")["applied_events"], 1);
}

#[test]
fn a_file_of_no_known_shape_is_read_by_a_mapping_that_a_guess_begins() {
    let shop = Shop::open();
    let log = "customer,sku,what,when\n41,a1,page_view,12/31/2025 08:30\n41,a1,bought,12/31/2025 08:31\n";
    let file = written(&shop.folder, "visits.csv", log);
    let to = ["--to", shop.server.grpc_url()];
    let refused = run(&[&["import", text(&file)][..], &to].concat());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in ["has the shape of no format that ships", "--guess", "docs/guides/import.md"] {
        assert!(refused.stderr.contains(part), "{part:?} is not in {refused:?}");
    }
    let guess = run(&["import", text(&file), "--guess"]);
    assert_eq!(guess.code, Some(0), "{guess:?}");
    assert!(guess.stderr.contains("2025-12-31T08:30:00Z"), "{guess:?}");
    let mapping = guess.stdout.replace(
        "action = { value = \"view\" }",
        "action = \"what\"\n[actions]\npage_view = \"view\"\nbought = \"purchase\"\n#",
    );
    let map = written(&shop.folder, "map.toml", mapping);
    let by_map = ["import", text(&file), "--map", text(&map)];
    let check = run(&[&by_map[..], &["--check"]].concat());
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("of the first 2 rows, 0 cannot be read"), "{check:?}");
    let dry = run(&[&by_map[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(dry.stdout.contains("nothing was sent"), "{dry:?}");
    let sent = run(&[&by_map[..], &to].concat());
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert_eq!(shop.profile("41")["applied_events"], 2);
    // A format that ships is found without a flag.
    let known = written(&shop.folder, "known.csv", visits(&[0]));
    let found = run(&[&["import", text(&known)][..], &to].concat());
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.stderr.contains("is of format retailrocket"), "{found:?}");
}

/// Rows of Retailrocket of one user: five visits three days apart, each with a view, a cart and a purchase.
fn visits(days: &[i64]) -> String {
    let mut log = "timestamp,visitorid,event,itemid,transactionid\n".to_owned();
    for day in days {
        let begin = 1_433_307_732_117 + day * 86_400_000;
        for (minute, row) in ["view,100,", "addtocart,101,", "transaction,102,"].iter().enumerate() {
            let order = if minute == 2 { (1001 + day).to_string() } else { String::new() };
            log += &format!("{},91001,{row}{order}\n", begin + 60_000 * minute as i64);
        }
    }
    log
}

#[test]
fn a_file_in_any_order_makes_the_profile_of_the_sorted_one() {
    let mut profiles = Vec::new();
    for days in [[0, 2, 4, 6, 8], [8, 2, 6, 0, 4]] {
        let shop = Shop::open();
        assert_eq!(shop.import(visits(&days), "retailrocket", &[]).code, Some(0));
        let mut profile = shop.profile("91001");
        // The time of the wall clock at which it was written.
        profile["updated_at"] = Value::Null;
        profiles.push(profile);
    }
    assert_eq!(profiles[0], profiles[1]);
    assert_eq!(profiles[0]["behavior"]["sessions"]["total"], 5, "{:#}", profiles[0]);
}

/// Log of Taobao of 24 users over 36 days.
fn month() -> Vec<String> {
    let mut rows = Vec::new();
    let mut state = 1_u64;
    for step in 0..432 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = state >> 33;
        let action = ["pv", "pv", "pv", "cart", "buy"][(draw % 5) as usize];
        let (user, item, at) = (1000 + draw / 5 % 24, draw / 120 % 90, 1_511_539_500 + step * 7200);
        rows.push(format!("{user},{item},{},{action},{at}\n", item % 8));
    }
    rows
}

#[test]
fn replays_of_a_log_leave_out_what_a_server_refuses_in_any_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clean = month();
    let mut dirty = clean.clone();
    for (at, time) in [(20, "-2134949234"), (40, "4122867355"), (60, "44")] {
        dirty.insert(at, format!("1001,3,3,pv,{time}\n"));
    }
    dirty.insert(100, clean[100].clone());
    let reversed: String = clean.iter().rev().map(String::as_str).collect();
    let clean = written(&folder, "clean.csv", clean.concat());
    let dirty = written(&folder, "dirty.csv", dirty.concat());
    let reversed = written(&folder, "reversed.csv", reversed);
    let drift = |file: &Path| run(&["drift", text(file), "--format", "taobao", "--rows-min", "10"]);
    let expected = drift(&clean);
    assert_eq!((expected.code, expected.stderr.as_str()), (Some(0), ""), "{expected:?}");
    for day in ["2017-12-22", "2017-12-29"] {
        assert!(expected.stdout.contains(day), "{expected:?}");
    }
    assert_eq!(drift(&reversed).stdout, expected.stdout);
    let found = drift(&dirty);
    assert_eq!(found.stdout, expected.stdout);
    let eval = |file: &Path| run(&["eval", text(file), "--format", "taobao", "--targets", "100"]);
    let evaluated = eval(&dirty);
    assert_eq!(evaluated.code, Some(0), "{evaluated:?}");
    // The report begins with the name of the file.
    assert_eq!(evaluated.stdout.replacen("dirty", "clean", 1), eval(&clean).stdout);
    for outcome in [found, evaluated] {
        for part in
            ["2 rows, TIME_TOO_OLD (line 21, column 5: occurred_at ", "1 row, TIME_IN_FUTURE (line 41,"]
        {
            assert!(outcome.stderr.contains(part), "{part:?} is not in {outcome:?}");
        }
    }
}

#[test]
fn a_command_whose_output_is_closed_ends_quietly() {
    let shop = Shop::open();
    assert_eq!(shop.import(visits(&[0]), "retailrocket", &[]).code, Some(0));
    let log = shop.folder.path().join("log");
    let url = shop.server.grpc_url();
    let commands: [&[&str]; 6] = [
        &["profile", "91001", "--json", "--to", url],
        &["profile", "91001", "--to", url],
        &["import", text(&log), "--format", "retailrocket", "--to", url],
        &["serve", "--dump-config"],
        &["sizing", "--users", "1000", "--events-per-second", "10"],
        &["demo", text(&log), "--format", "retailrocket"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = portrait_command()
            .args(arguments)
            .stdout(Stdio::from(writer))
            .output()
            .expect("a running process");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
    }
}
