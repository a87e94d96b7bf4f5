//! Import cycles between the files of a crate, which are forbidden. Imports and path expressions count, and a re-export counts as a use
//! of the file that defines the item.

use super::modules::Modules;
use portrait_tests::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Used names by the using file and the defining file.
type Edges = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

#[test]
fn no_crate_has_an_import_cycle_between_files() {
    let mut cycles = Vec::new();
    for entry in std::fs::read_dir(repository().join("crates")).expect("the crates") {
        let sources = entry.expect("an entry").path().join("src");
        for root in ["lib.rs", "main.rs"].map(|name| sources.join(name)) {
            if root.exists() {
                cycles.extend(cycles_of(&edges(&Modules::read(&root)), &repository().join("crates")));
            }
        }
    }
    assert!(cycles.is_empty(), "{} cycles between files:\n{}", cycles.len(), cycles.join("\n"));
}

#[test]
fn a_cycle_is_found_through_imports_paths_macros_and_re_exports() {
    let rows: [(&[(&str, &str)], usize); 7] = [
        (&[("lib.rs", "mod a; mod b;"), ("a.rs", "pub struct A;"), ("b.rs", "use crate::a::A;")], 0),
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::{b::{self, B}}; pub struct A;"),
                ("b.rs", "pub struct B(crate::a::A);"),
            ],
            1,
        ),
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub fn a() { crate::b::b() }"),
                ("b.rs", "pub fn b() { println!(\"{:?}\", super::a::a()) }"),
            ],
            1,
        ),
        // The root of the crate and a parent that only declares its child create no edge.
        (
            &[
                ("lib.rs", "mod a; pub use a::A;"),
                ("a.rs", "mod b; pub struct A;"),
                ("a/b.rs", "use super::A;"),
            ],
            0,
        ),
        (
            &[
                ("lib.rs", "mod a;"),
                ("a.rs", "mod b; use b::B; pub struct A;"),
                ("a/b.rs", "use super::A; pub struct B;"),
            ],
            1,
        ),
        (
            &[
                ("lib.rs", "mod a; mod c;"),
                ("a.rs", "mod b; pub use b::*;"),
                ("a/b.rs", "use crate::c; pub fn b() { c::c() }"),
                ("c.rs", "use crate::a; pub fn c() { a::b() }"),
            ],
            1,
        ),
        (
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"),
                ("b.rs", "use crate::a::A; pub struct B;"),
            ],
            0,
        ),
    ];
    for (files, expected) in rows {
        let folder = written(files);
        let found = cycles_of(&edges(&Modules::read(&folder.path().join("lib.rs"))), folder.path());
        assert_eq!(found.len(), expected, "{files:?}: {found:?}");
    }
}

/// Folder with these files.
fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    folder
}

fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (user, definer, name) in modules.uses() {
        edges.entry(user).or_default().entry(definer).or_default().insert(name);
    }
    edges
}

/// Returns each group of files that reach each other, with the names that make it.
fn cycles_of(edges: &Edges, below: &Path) -> Vec<String> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        edges.keys().map(|file| (file, reach(edges, file))).collect();
    let mut cycles = BTreeSet::new();
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(**file)) {
        let group: BTreeSet<&PathBuf> = others
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(file)))
            .collect();
        cycles.insert(group);
    }
    cycles.iter().map(|group| described(edges, group, below)).collect()
}

/// Files that a file uses, directly or through others.
fn reach<'a>(edges: &'a Edges, file: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        open.extend(
            edges.get(file).into_iter().flat_map(BTreeMap::keys).filter(|other| found.insert(*other)),
        );
    }
    found
}

fn described(edges: &Edges, group: &BTreeSet<&PathBuf>, below: &Path) -> String {
    let mut text = String::new();
    let short = |file: &Path| file.strip_prefix(below).unwrap_or(file).display().to_string();
    for file in group {
        for (other, names) in
            edges.get(*file).into_iter().flatten().filter(|(other, _)| group.contains(other))
        {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            text += &format!("  {} -> {}: {}\n", short(file), short(other), names.join(", "));
        }
    }
    text
}
