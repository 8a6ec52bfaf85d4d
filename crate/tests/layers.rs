//! The layers of the crate: which folders a folder may import, that no files import each other in a circle, and that pure
//! modules import nothing of the system. The test reads the sources; `ARCHITECTURE.md` describes the layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder, and the folders that its files may import besides their own.
const LAYERS: [(&str, &[&str]); 8] = [
    ("protocol", &[]),
    ("engine", &["protocol"]),
    ("system", &["protocol"]),
    ("net", &["system", "engine", "protocol"]),
    ("routes", &["system", "engine", "protocol"]),
    ("driver", &["net", "routes", "system", "engine", "protocol"]),
    ("sim", &["net", "routes", "system", "engine", "protocol"]),
    ("addon", &["sim", "driver", "net", "routes", "system", "engine", "protocol"]),
];

/// Folders and files without I/O, clocks, threads and Linux.
const PURE: [&str; 25] = [
    "protocol",
    "engine",
    "net::arrival",
    "routes::kernel_route",
    "routes::outcome",
    "routes::tables",
    "routes::armed",
    "routes::affected",
    "routes::contention",
    "routes::damping",
    "routes::entry",
    "routes::left_objects",
    "routes::legs",
    "routes::maintenance",
    "routes::mass_down",
    "routes::next_hop",
    "routes::object_request",
    "routes::object_sweep",
    "routes::parts",
    "routes::planner",
    "routes::put_off",
    "routes::route_table",
    "routes::stored_route",
    "routes::stats",
    "routes::survey",
];

/// Names that no pure file may contain.
const IMPURE: [&str; 14] = [
    "nix::",
    "libc::",
    "netlink_sys",
    "netlink_packet_core",
    "netlink_packet_route",
    "rustix::",
    "getrandom",
    "UdpSocket",
    "std::fs",
    "std::os",
    "std::thread",
    "std::time::",
    "Instant::now",
    "target_os",
];

/// A source file as a module, without comments and without its tests.
struct Module {
    /// `engine::queue`; `engine` for its `mod.rs`.
    name: String,
    code: String,
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("a readable entry").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn modules() -> Vec<Module> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules: Vec<Module> = sources(&folder)
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&folder).expect("a file below").with_extension("");
            let name =
                relative.iter().map(|part| part.to_str().expect("a name in UTF-8")).collect::<Vec<_>>().join("::");
            let name = name.strip_suffix("::mod").unwrap_or(&name).to_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            Module { name, code: without_comments_and_tests(&text) }
        })
        .filter(|module| module.name != "lib")
        .collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules
}

/// Test modules at the end of a file may import anything. A `cfg(test)` item before them is checked.
fn without_comments_and_tests(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        is_test |= line.starts_with("mod tests") || line.starts_with("pub(crate) mod tests");
        is_test |= line.starts_with("mod every_order") || line.starts_with("pub(crate) mod captured");
        if !is_test {
            lines.push(line.split("//").next().unwrap_or(""));
        }
    }
    lines.join("\n")
}

/// The paths that a module names, from the crate's root on: `crate::a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(module: &Module) -> Vec<String> {
    let mut found = Vec::new();
    let parent = module.name.rsplit_once("::").map_or("", |(parent, _)| parent);
    for (root, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in module.code.match_indices(root) {
            let is_word =
                module.code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_');
            if !is_word {
                let base = if base.is_empty() { String::new() } else { format!("{base}::") };
                expand(&base, &module.code[at + root.len()..], &mut found);
            }
        }
    }
    found
}

/// Reads one path, with its groups in braces, from the beginning of `text`. Returns its length.
fn expand(prefix: &str, text: &str, found: &mut Vec<String>) -> usize {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let name = &text[..end];
    if !text[end..].starts_with('{') || !name.is_empty() && !name.ends_with("::") {
        found.push(format!("{prefix}{}", name.trim_end_matches(':')));
        return end;
    }
    let prefix = format!("{prefix}{name}");
    let mut at = end + 1;
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
        if text[at..].starts_with('}') || at >= text.len() {
            return at + 1;
        }
        let read = expand(&prefix, &text[at..], found);
        at += read.max(1);
    }
}

/// Which modules a module imports.
fn imports(module: &Module, names: &BTreeSet<String>) -> BTreeSet<String> {
    let module_of = |path: String| {
        let mut path = path.as_str();
        loop {
            if names.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    paths(module).into_iter().filter_map(module_of).filter(|import| *import != module.name).collect()
}

fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules();
    let names: BTreeSet<String> = modules.iter().map(|module| module.name.clone()).collect();
    modules.iter().map(|module| (module.name.clone(), imports(module, &names))).collect()
}

fn folder(name: &str) -> &str {
    name.split("::").next().unwrap_or(name)
}

fn is_pure(name: &str) -> bool {
    PURE.contains(&name) || PURE.contains(&folder(name))
}

#[test]
fn every_file_imports_its_own_folder_and_those_below_it_only() {
    for (name, imports) in graph() {
        let (_, below) = LAYERS.iter().find(|(layer, _)| *layer == folder(&name)).unwrap_or_else(|| {
            panic!("{name} stands in a folder that LAYERS does not have");
        });
        for import in imports {
            let is_allowed = folder(&import) == folder(&name) || below.contains(&folder(&import));
            assert!(is_allowed, "{name} imports {import}, and {} may import only {below:?}", folder(&name));
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let graph = graph();
    let mut is_done = BTreeSet::new();
    for name in graph.keys() {
        visit(name, &graph, &mut Vec::new(), &mut is_done);
    }
}

fn visit<'a>(
    name: &'a str,
    graph: &'a BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<&'a str>,
    is_done: &mut BTreeSet<&'a str>,
) {
    if let Some(start) = path.iter().position(|visited| *visited == name) {
        panic!("a circle of imports: {} -> {name}", path[start..].join(" -> "));
    }
    if is_done.contains(name) {
        return;
    }
    path.push(name);
    for import in &graph[name] {
        visit(import, graph, path, is_done);
    }
    path.pop();
    is_done.insert(name);
}

#[test]
fn pure_files_import_neither_the_system_nor_a_file_that_is_not_pure() {
    let graph = graph();
    for module in modules().iter().filter(|module| is_pure(&module.name)) {
        for impure in IMPURE {
            assert!(!module.code.contains(impure), "{} names {impure}", module.name);
        }
        for import in &graph[&module.name] {
            assert!(is_pure(import), "{} imports {import}, which is not pure", module.name);
        }
    }
}

#[test]
fn every_pure_file_and_every_folder_of_the_lists_exists() {
    let graph = graph();
    for name in PURE.iter().chain(LAYERS.iter().map(|(layer, _)| layer)) {
        assert!(graph.contains_key(*name), "there is no {name}");
    }
}

#[test]
fn groups_in_braces_and_super_are_read_as_paths() {
    let code = "use crate::a::{self, b::{C, D}, e};\nlet x = crate::f::g();\nuse super::h;".to_owned();
    let module = Module { name: "top::inner".into(), code };
    assert_eq!(paths(&module), ["a::self", "a::b::C", "a::b::D", "a::e", "f::g", "top::h"]);
}
