//! Lines of PostgreSQL 15, and lines that are none.

use super::*;

fn column<'a>(name: &str, data_type: &'a str, value: Option<&str>) -> RawColumn<'a> {
    let value = value.map_or(RawValue::Null, |text| RawValue::Text(text.to_owned()));
    RawColumn { name: name.to_owned(), data_type, value }
}

fn change<'a>(line: &'a str) -> ChangeLine<'a> {
    match DecodedLine::parse(line) {
        Ok(DecodedLine::Change(change)) => change,
        found => panic!("{line}: {found:?}"),
    }
}

#[test]
fn ends_of_transactions_messages_and_truncations_are_known() {
    assert_eq!(DecodedLine::parse("BEGIN"), Ok(DecodedLine::Begin));
    assert_eq!(DecodedLine::parse("COMMIT"), Ok(DecodedLine::Commit));
    assert_eq!(
        DecodedLine::parse("message: transactional: 1 prefix: test, sz: 4 content:table"),
        Ok(DecodedLine::Message)
    );
    let tables = vec![("public".to_owned(), "a".to_owned()), ("s".to_owned(), "B, c".to_owned())];
    assert_eq!(
        DecodedLine::parse("table public.a, s.\"B, c\": TRUNCATE: restart_seqs cascade"),
        Ok(DecodedLine::Truncate(tables))
    );
}

#[test]
fn an_insert_has_values_of_every_type() {
    let line = "table public.data: INSERT: id[integer]:-1 name[character varying]:'it''s [x]: y' price[numeric]:1.50 \
                ok[boolean]:true none[text]:null bits[bit varying]:B'0101' tags[text[]]:'{a,\"b c\"}' nan[numeric]:NaN \
                at[timestamp with time zone]:'2024-05-06 07:08:09+00' big[double precision]:1e+20";
    let found = change(line);
    assert_eq!((&*found.schema, &*found.table, found.kind), ("public", "data", ChangeKind::Insert));
    assert_eq!(
        found.columns,
        vec![
            column("id", "integer", Some("-1")),
            column("name", "character varying", Some("it's [x]: y")),
            column("price", "numeric", Some("1.50")),
            column("ok", "boolean", Some("true")),
            column("none", "text", None),
            column("bits", "bit varying", Some("0101")),
            column("tags", "text[]", Some("{a,\"b c\"}")),
            column("nan", "numeric", Some("NaN")),
            column("at", "timestamp with time zone", Some("2024-05-06 07:08:09+00")),
            column("big", "double precision", Some("1e+20")),
        ]
    );
}

#[test]
fn odd_names_are_unquoted() {
    let found =
        change("table \"Sh.op\".\"or\"\"ders: x\": INSERT: \"a[b]: c\"[s.\"odd]type\"]:'line\nbreak'");
    assert_eq!((&*found.schema, &*found.table), ("Sh.op", "or\"ders: x"));
    assert_eq!(found.columns, vec![column("a[b]: c", "s.\"odd]type\"", Some("line\nbreak"))]);
}

#[test]
fn an_update_has_its_old_key_and_what_did_not_change() {
    let found = change(
        "table public.data: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 t[text]:unchanged-toast-datum",
    );
    assert_eq!(found.old_key, vec![column("id", "integer", Some("1"))]);
    assert_eq!(found.columns[0], column("id", "integer", Some("2")));
    assert_eq!(found.columns[1].value, RawValue::Unchanged);
}

#[test]
fn a_delete_has_its_key() {
    let found = change("table public.data: DELETE: id[integer]:1");
    assert_eq!((found.kind, found.columns), (ChangeKind::Delete, vec![column("id", "integer", Some("1"))]));
}

#[test]
fn unknown_text_is_an_error_with_its_place() {
    let rows = [
        ("", 0, "BEGIN, COMMIT, message or table"),
        ("begin", 0, "BEGIN, COMMIT, message or table"),
        ("BEGIN 7", 0, "BEGIN, COMMIT, message or table"),
        ("table data: INSERT: id[integer]:1", 10, "a point between schema and table"),
        ("table public.data: MERGE: id[integer]:1", 19, "INSERT, UPDATE, DELETE or TRUNCATE"),
        ("table public.data: INSERT: (no-tuple-data)", 27, "a name"),
        ("table public.data: DELETE:", 26, "columns"),
        ("table public.data: INSERT: id[integer]:x", 39, "a value"),
        ("table public.data: INSERT: id[integer]:", 39, "a value"),
        ("table public.data: INSERT: id[text]:'x", 36, "a closing quote"),
        ("table public.data: INSERT: id[text]:'x'y", 39, "a space before a column"),
        ("table public.data: INSERT: id[text", 30, "a type"),
        ("table public.data: TRUNCATE: slowly", 29, "flags of TRUNCATE"),
        ("table public.a, public.b: INSERT: id[integer]:1", 26, "TRUNCATE"),
    ];
    for (line, at, expected) in rows {
        assert_eq!(DecodedLine::parse(line), Err(LineDefect { expected, at }), "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(line in "(table )?[a-z\"'.:\\[\\] B,0-9é]{0,60}") {
        let _ = DecodedLine::parse(&line);
    }
}
