//! What no compiler checks: the layers, the bans, the names, and the two documents made from the tests.
//!
//! A failure names the file, the line and the rule. `make bless` writes the
//! documents anew; `-- --nocapture` prints the largest files and functions, for a person to judge.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may"
)]

mod coverage;
mod errors;
mod layers;
mod shape;
mod source;

use source::Tree;

/// Shows every breach at once: one run, one list.
fn none(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

#[test]
fn each_module_uses_only_what_its_layer_may() {
    none(
        "layers (tests/tidy/layers.rs holds the table)",
        &layers::edges(&Tree::read()),
    );
}

#[test]
fn every_module_stands_in_the_table_of_layers() {
    none("modules without a layer", &layers::unlisted(&Tree::read()));
}

#[test]
fn pure_code_neither_waits_nor_reads_a_clock_nor_touches_the_system() {
    none("bans in pure code", &layers::bans(&Tree::read()));
}

#[test]
fn unsafe_stands_only_where_it_is_named() {
    none("unsafe", &shape::unsafe_code(&Tree::read()));
}

#[test]
fn every_file_says_what_it_is() {
    none("files without a header", &shape::headers(&Tree::read()));
}

#[test]
fn a_file_is_named_after_its_concept() {
    none("names that say nothing", &shape::names(&Tree::read()));
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    none("allow in production code", &shape::allows(&Tree::read()));
}

#[test]
fn the_largest_files_and_functions_are_shown() {
    println!("{}", shape::largest(&Tree::read()));
}

#[test]
fn the_coverage_documents_are_what_the_tests_say() {
    none("`make bless` writes them", &coverage::check(&Tree::read()));
}

#[test]
fn every_id_of_a_refusal_has_a_page_and_no_page_lacks_an_id() {
    none(
        "docs/errors and docs/explain.md",
        &errors::breaches(&Tree::read(), source::root()),
    );
    let planted = "fn id(&self) -> &'static str { match self { Self::A => \"a-b\", _ => \"c\" } }";
    assert_eq!(errors::finds(planted), 2);
}

#[test]
fn a_breach_is_found() {
    let planted = |path: &str, text: &str| Tree::planted(path, text);
    let up = planted(
        "src/call/planted.rs",
        "//! x\nuse crate::{io::net, server};\n",
    );
    assert_eq!(layers::edges(&up).len(), 2);
    let nested = planted(
        "src/center/planted.rs",
        "//! x\nuse crate::{config::{a, b}, call::c};\n",
    );
    assert_eq!(layers::edges(&nested), Vec::<String>::new());
    let waits = planted(
        "src/center/planted.rs",
        "//! x\nasync fn f() { g().await }\n",
    );
    assert_eq!(layers::bans(&waits).len(), 2);
    let said = planted(
        "src/center/planted.rs",
        "//! x\n// async fn\nlet x = \"tokio::spawn\";\n",
    );
    assert_eq!(layers::bans(&said), Vec::<String>::new());
    let tested = "//! x\n#[cfg(test)]\nmod tests { fn f() { std::fs::read(x); } }\n";
    assert_eq!(
        layers::bans(&planted("crates/sip/src/planted.rs", tested)),
        Vec::<String>::new()
    );
    let raw = planted(
        "src/call/planted.rs",
        "//! x\nunsafe { f() }\n#[allow(dead_code)]\n",
    );
    assert_eq!(
        (shape::unsafe_code(&raw).len(), shape::allows(&raw).len()),
        (1, 1)
    );
    assert_eq!(
        shape::names(&planted("src/call/utils.rs", "//! x\n")).len(),
        1
    );
    assert_eq!(
        shape::headers(&planted("src/call/x.rs", "use y;\n")).len(),
        1
    );
}
