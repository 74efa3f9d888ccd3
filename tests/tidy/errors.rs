//! Ids of refusals and their pages: each `fn id(…) -> &'static str` of the server names ids, and each id
//! has a page in `docs/errors`, and a line in `docs/explain.md`.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{Tree, closing};

/// The ids that shipped code gives.
fn ids(tree: &Tree) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for file in tree.shipped() {
        for (at, head) in file.code.match_indices("fn id(&self) -> &'static str {") {
            let open = at + head.len() - 1;
            let body = &file.text[open..closing(&file.code, open)];
            let literals = body.split('"').skip(1).step_by(2);
            ids.extend(literals.map(str::to_owned));
        }
    }
    ids
}

/// Pages without an id, ids without a page, pages that say nothing, and ids that the list leaves out.
pub(crate) fn breaches(tree: &Tree, root: &Path) -> Vec<String> {
    let ids = ids(tree);
    let folder = root.join("docs/errors");
    let pages = std::fs::read_dir(&folder).expect("docs/errors");
    let pages: BTreeSet<String> = pages
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    let list = std::fs::read_to_string(root.join("docs/explain.md")).unwrap_or_default();
    let mut breaches = Vec::new();
    for id in ids.difference(&pages) {
        breaches.push(format!("{id}: no page docs/errors/{id}.md"));
    }
    for page in pages.difference(&ids) {
        breaches.push(format!("docs/errors/{page}.md: no code gives that id"));
    }
    for id in ids.intersection(&pages) {
        let text = std::fs::read_to_string(folder.join(format!("{id}.md"))).unwrap_or_default();
        let parts = ["**Example**", "**Usual causes**", "**What mends it**"];
        if parts.iter().any(|part| !text.contains(part)) {
            breaches.push(format!("docs/errors/{id}.md: want {}", parts.join(", ")));
        }
        if !list.contains(&format!("(errors/{id}.md)")) {
            breaches.push(format!("docs/explain.md: {id} is not in its list"));
        }
    }
    breaches
}

/// Whether a planted id without a page is found.
pub(crate) fn finds(text: &str) -> usize {
    ids(&Tree::planted("src/call/planted.rs", text)).len()
}
