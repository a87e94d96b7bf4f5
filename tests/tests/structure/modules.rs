//! Modules of a crate as its source files declare them: names each module defines or imports, and the paths its code uses.
//! A path resolves to the file that defines its item, through imports, globs and re-exports.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// Longest chain of re-exports that is followed, so that names which import each other end.
const HOPS_MAX: usize = 16;

/// Path of a module below its crate's root; the root is the empty path.
pub(super) type ModulePath = Vec<String>;

/// Meaning of a name inside a module.
enum Named {
    /// Item defined there.
    Item,
    /// Import or re-export, as written.
    Import(Vec<String>),
}

/// One module: a file, or a `mod name { .. }` inside one.
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    names: BTreeMap<String, Named>,
    globs: Vec<Vec<String>>,
    paths: Vec<Vec<String>>,
}

/// All modules of one crate but those compiled for its tests alone.
#[derive(Default)]
pub(super) struct Modules {
    by_path: BTreeMap<ModulePath, Module>,
}

/// Kind of target that a path is resolved to where a module and an item share its name.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Module,
    Item,
}

impl Wanted {
    /// Returns what a segment stands for that `rest` follows: a module, unless it is the last one.
    fn after(self, rest: &[String]) -> Self {
        if rest.is_empty() { self } else { Self::Module }
    }
}

/// Target of a resolved path.
enum Target {
    Module(ModulePath),
    Item(PathBuf),
}

impl Modules {
    /// Reads the modules that are reached from the root file of a crate.
    pub(super) fn read(root: &Path) -> Self {
        let mut modules = Self::default();
        let folder = root.parent().expect("a folder of sources").to_owned();
        modules.read_file(Vec::new(), root, &folder);
        modules
    }

    fn read_file(&mut self, path: ModulePath, file: &Path, children: &Path) {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_items(path, file, children, &parsed.items);
    }

    fn read_items(&mut self, path: ModulePath, file: &Path, children: &Path, items: &[syn::Item]) {
        let mut reader = Reader::default();
        let mut declared = BTreeSet::new();
        let is_root = path.is_empty();
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            if let syn::Item::Mod(module) = item {
                let name = module.ident.to_string();
                declared.insert(name.clone());
                let child: ModulePath = path.iter().cloned().chain([name.clone()]).collect();
                let folder = children.join(&name);
                match &module.content {
                    Some((_, items)) => self.read_items(child, file, &folder, items),
                    None => self.read_file(child, &children.join(format!("{name}.rs")), &folder),
                }
                continue;
            }
            if let Some(name) = defined(item) {
                reader.names.insert(name, Named::Item);
            }
            // The root of a crate re-exports the public API from everywhere; that alone creates no edge.
            reader.is_face = is_root
                && matches!(item, syn::Item::Use(one) if !matches!(one.vis, syn::Visibility::Inherited));
            reader.visit_item(item);
        }
        let Reader { names, globs, paths, .. } = reader;
        self.by_path.insert(path, Module { file: file.to_owned(), children: declared, names, globs, paths });
    }

    /// Returns every use of an item in another file: the file that uses, the file that defines, and the path as written.
    pub(super) fn uses(&self) -> Vec<(PathBuf, PathBuf, String)> {
        let mut uses = Vec::new();
        for (path, module) in &self.by_path {
            for written in &module.paths {
                if let Some(Target::Item(file)) = self.resolve(path, written, Wanted::Item, 0)
                    && file != module.file
                {
                    uses.push((module.file.clone(), file, written.join("::")));
                }
            }
        }
        uses
    }

    /// Resolves a path as written in a module; none for other crates, locals and the standard library.
    fn resolve(&self, from: &ModulePath, written: &[String], wanted: Wanted, hops: usize) -> Option<Target> {
        if hops > HOPS_MAX {
            return None;
        }
        let (first, mut rest) = written.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(Vec::new()),
            "self" => Target::Module(from.clone()),
            "super" => Target::Module(from.split_last()?.1.to_vec()),
            name => self.lookup(from, name, wanted.after(rest), hops)?,
        };
        while let (Target::Module(module), Some((name, after))) = (&target, rest.split_first()) {
            let module = module.clone();
            target = match name.as_str() {
                "super" => Target::Module(module.split_last()?.1.to_vec()),
                name => self.lookup(&module, name, wanted.after(after), hops)?,
            };
            rest = after;
        }
        Some(target)
    }

    /// Looks a name up in one module: its own items and imports first, then its globs.
    fn lookup(&self, path: &ModulePath, name: &str, wanted: Wanted, hops: usize) -> Option<Target> {
        let module = self.by_path.get(path)?;
        let child =
            module.children.contains(name).then(|| path.iter().cloned().chain([name.to_owned()]).collect());
        match (child, module.names.get(name)) {
            (Some(child), _) if wanted == Wanted::Module => Some(Target::Module(child)),
            (_, Some(Named::Item)) => Some(Target::Item(module.file.clone())),
            // `use serde::Serialize` names a crate, and `use name::X` could name itself: neither resolves to a file.
            (None, Some(Named::Import(written))) if written.first().is_some_and(|first| first == name) => {
                None
            }
            (_, Some(Named::Import(written))) => self.resolve(path, written, wanted, hops + 1),
            (child, None) => self.lookup_globs(path, name, wanted, hops).or(child.map(Target::Module)),
        }
    }

    fn lookup_globs(&self, path: &ModulePath, name: &str, wanted: Wanted, hops: usize) -> Option<Target> {
        self.by_path.get(path)?.globs.iter().find_map(|glob| {
            let Target::Module(other) = self.resolve(path, glob, Wanted::Module, hops + 1)? else {
                return None;
            };
            self.lookup(&other, name, wanted, hops + 1)
        })
    }
}

/// Collects the imports and paths of the items of one module.
#[derive(Default)]
struct Reader {
    names: BTreeMap<String, Named>,
    globs: Vec<Vec<String>>,
    paths: Vec<Vec<String>>,
    is_face: bool,
}

impl Reader {
    fn import(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
            syn::UseTree::Glob(_) => self.globs.push(before.to_vec()),
            syn::UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = before.last() {
                    self.bind(last.clone(), before.to_vec());
                }
            }
            syn::UseTree::Name(name) => self.bind(name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(one) if one.ident == "self" => {
                self.bind(one.rename.to_string(), before.to_vec());
            }
            syn::UseTree::Rename(one) => self.bind(one.rename.to_string(), with(&one.ident)),
        }
    }

    fn bind(&mut self, name: String, written: Vec<String>) {
        if !self.is_face {
            self.paths.push(written.clone());
        }
        self.names.entry(name).or_insert(Named::Import(written));
    }

    /// Finds `a::b::c` among the tokens of a macro call, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.paths.push(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.paths.push(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.paths.push(path);
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !is_test(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Name that an item defines in its module.
fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
