//! Arrays and lines of objects.

use super::*;
use std::io::BufReader;

/// Reads all objects through a buffer of `buffer_bytes`; returns line and text of each, and the error that ended the reading.
fn objects(text: &str, buffer_bytes: usize) -> (Vec<(u64, String)>, Option<String>) {
    let text = BufReader::with_capacity(buffer_bytes, Cursor::new(text.as_bytes().to_vec()));
    let mut objects = Objects::open(Box::new(text)).expect("readable");
    let (mut object, mut read) = (ObjectText::default(), Vec::new());
    loop {
        match objects.read(&mut object) {
            Ok(true) => {
                read.push((object.line, String::from_utf8_lossy(&object.bytes).into_owned()));
            }
            Ok(false) => return (read, None),
            Err(error) => return (read, Some(error.to_string())),
        }
    }
}

fn check(text: &str, expected: &[(u64, &str)], is_truncated: bool) {
    for buffer_bytes in [1, 2, 7, 1000] {
        let (read, error) = objects(text, buffer_bytes);
        let read: Vec<(u64, &str)> = read.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(read, expected, "{text:?} by {buffer_bytes}");
        assert_eq!(error.is_some(), is_truncated, "{text:?}: {error:?}");
    }
}

#[test]
fn lines_and_arrays_have_the_same_objects() {
    let two = [(1, r#"{"a":1}"#), (2, r#"{"b":2}"#)];
    check("{\"a\":1}\n{\"b\":2}\n", &two, false);
    check("{\"a\":1}\r\n{\"b\":2}", &two, false);
    check("[{\"a\":1},\n{\"b\":2}]", &two, false);
    check("\u{feff}[{\"a\":1}\n,{\"b\":2}\n]\n", &two, false);
    check("[{\"a\":1}]\n[{\"b\":2}]", &two, false);
    check("\n\n{\"a\":1}\n\n \n{\"b\":2}\n", &[(3, r#"{"a":1}"#), (6, r#"{"b":2}"#)], false);
    check("", &[], false);
    check(" \n", &[], false);
    check("[]", &[], false);
}

#[test]
fn an_object_of_an_array_may_have_lines_strings_and_objects() {
    let pretty = "{\n  \"a\": \"x}, {\\\"\",\n  \"b\": {\n    \"c\": [{\"d\": 1}, {}]\n  }\n}";
    check(&format!("[\n{pretty},\n{pretty}\n]"), &[(2, pretty), (8, pretty)], false);
    check("[1, \"x\",{\"a\":1},null]", &[(1, "1"), (1, "\"x\""), (1, "{\"a\":1}"), (1, "null")], false);
}

#[test]
fn a_broken_object_costs_itself() {
    let good = r#"{"b":2}"#;
    // Without its brace, without its quote, and cut off.
    check("[{\"a\":1,\n{\"b\":2}]", &[(1, "{\"a\":1,\n"), (2, good)], false);
    check("[{\"a\":1 {\"b\":2}]", &[(1, "{\"a\":1 "), (1, good)], false);
    check("[{\"a\":\"x},\n{\"b\":2}]", &[(1, "{\"a\":\"x},\n"), (2, good)], false);
    check("[{\"a\":\"x},{\"b\":2}]", &[(1, "{\"a\":\"x}"), (1, good)], false);
    check("[{\"a\":\"x\"y\"},{\"b\":2},{\"b\":2}]", &[(1, "{\"a\":\"x\"y\"}"), (1, good), (1, good)], false);
    check("[{\"b\":2},{\"a\":1]", &[(1, good), (1, "{\"a\":1]")], false);
}

#[test]
fn an_array_without_an_end_is_truncated_after_its_last_object() {
    check("[{\"b\":2},{\"a\":", &[(1, r#"{"b":2}"#)], true);
    check("[{\"b\":2},", &[(1, r#"{"b":2}"#)], true);
    check("[", &[], true);
}

#[test]
fn a_long_object_is_cut_and_the_next_one_is_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    for text in [format!("[{long},{{\"b\":2}}]"), format!("{long}\n{{\"b\":2}}\n")] {
        let (read, error) = objects(&text, 8192);
        let lengths: Vec<usize> = read.iter().map(|(_, text)| text.len()).collect();
        assert_eq!((lengths, error), (vec![1 << 20, 7], None));
    }
}
