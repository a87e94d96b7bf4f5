//! Mappings: what is read, and errors with line, key and remedy.

use super::*;

const SHOP: &str = "name = \"shop\"\n[fields]\nuser = \"u\"\nitem = \"i\"\ntime = \"t\"\naction = \"a\"\n";

fn error(text: &str) -> String {
    Mapping::parse(text).expect_err(text).to_string()
}

#[test]
fn a_mapping_has_defaults() {
    let mapping = Mapping::parse(SHOP).expect("valid");
    assert_eq!((mapping.name(), mapping.kind()), ("shop", None));
    assert_eq!((mapping.repeats(), mapping.rows_as()), (RepeatRule::Drop, RowKind::Events));
    assert_eq!(mapping.with_repeats(RepeatRule::Count).repeats(), RepeatRule::Count);
}

#[test]
fn an_error_names_line_key_and_remedy() {
    let rows = [
        ("nam = \"x\"", "line 1 of the mapping, name: is missing; name the source"),
        ("name = \"a b\"", "line 1 of the mapping, name: is no name of a source; write up to 64"),
        ("name = \"x\"", "fields: is missing; name the columns"),
        ("name = \"x\"\nuser =", "line 2 of the mapping: "),
        ("name = \"x\"\nname = \"y\"", "line 2 of the mapping: duplicate key"),
    ];
    for (text, expected) in rows {
        assert!(error(text).contains(expected), "{text}: {}", error(text));
    }
}

#[test]
fn an_error_of_a_table_names_line_key_and_remedy() {
    // Lines behind those of SHOP, which has six.
    let rows = [
        (
            "users = 1",
            "line 7 of the mapping, fields.users: is no key of a mapping; known here are user, anonymous",
        ),
        ("price = 1", "line 7 of the mapping, fields.price: is integer; write a text"),
        ("price = []", "line 7 of the mapping, fields.price: is array; write a text, or a list of texts"),
        ("price = { column = \"p\", value = \"1\" }", "fields.price.value: stands beside a column"),
        ("price = {}", "fields.price.column: is missing"),
        ("price = \"p\"\namount = \"m\"", "fields.price: stands beside an amount"),
        (
            "[source]\nformat = \"xml\"",
            "line 8 of the mapping, source.format: \"xml\" is no form of a file; write csv",
        ),
        ("[source]\ndelimiter = \"ab\"", "source.delimiter: is no delimiter"),
        (
            "[source]\nencoding = \"utf-16\"",
            "source.encoding: \"utf-16\" cannot be split into fields; convert the file: iconv",
        ),
        ("[source]\nencoding = \"latin9000\"", "is no encoding"),
        ("[source]\nheader = false", "source.columns: is missing"),
        ("[source]\ncolumns = [\"a\"]", "set source.header = false"),
        ("[source]\neach = \"events\"", "source.each: needs objects"),
        ("[source]\ntime_format = \"us\"", "source.time_format: \"us\" is no spelling of a time"),
        ("[source]\ntime_zone = \"Mars\"", "source.time_zone: \"Mars\" is no zone"),
        (
            "[actions]\nbuy = \"bought\"",
            "line 8 of the mapping, actions.buy: \"bought\" is no action; write view, search",
        ),
        ("[actions]\nbuy = \"custom\"", "\"custom\" is no action"),
        (
            "[refunds]\nprefix = \"C\"",
            "refunds.prefix: is no key of a mapping; known here are negative_quantity, order_prefix",
        ),
        (
            "[rows]\nrepeats = \"keep\"",
            "rows.repeats: is no meaning of equal rows; write \"drop\" or \"count\"",
        ),
        ("[rows]\nas = \"traits\"", "rows.as: is not read from files"),
        ("[join]\nfile = \"../x\"\non = \"y\"", "join.file: is not in the folder of the file"),
        ("[join]\nfile = \"x\"", "join needs file"),
        ("[shop]", "shop: is no key of a mapping; known here are name, about, source"),
    ];
    for (more, expected) in rows {
        let text = format!("{SHOP}{more}\n");
        assert!(error(&text).contains(expected), "{more}: {}", error(&text));
    }
}

#[test]
fn a_field_that_is_needed_is_missed() {
    for (line, field) in [(3, "user"), (5, "time"), (6, "action")] {
        let text: String = SHOP
            .lines()
            .enumerate()
            .filter(|(index, _)| index + 1 != line)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        assert!(error(&text).contains(&format!("fields.{field}: is missing")), "{}", error(&text));
    }
    let text = SHOP.replace("\"t\"", "{ column = \"t\", years = 1 }");
    assert!(error(&text).contains("line 5 of the mapping, fields.time.years: is no key"), "{}", error(&text));
    let text = SHOP.replace("\"a\"", "{ value = \"stare\" }");
    assert!(error(&text).contains("fields.action: is missing; \"stare\" is no action"), "{}", error(&text));
}

#[test]
fn a_long_file_is_no_mapping() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "x".repeat(300 << 10)).expect("written");
    let error = Mapping::load(file.path()).expect_err("too long").to_string();
    assert!(error.contains("name the mapping with --map, not the data"), "{error}");
    let error = Mapping::load(Path::new("missing.toml")).expect_err("no file").to_string();
    assert!(error.contains("missing.toml"), "{error}");
}
