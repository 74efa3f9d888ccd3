//! Takes the desk's pages into the binary, as `make desk` has left them in `web/dist/desk`; without them the list
//! is empty, and the server says so where the desk would be.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // The folder is always there, and cargo looks through all of it.
    println!("cargo::rerun-if-changed=web/dist");
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let folder = variable("CARGO_MANIFEST_DIR").join("web/dist/desk");
    let mut files = Vec::new();
    if folder.is_dir() {
        walk(&folder, &mut files)?;
    }
    files.sort();
    let out = variable("OUT_DIR");
    let mut list = String::from("&[\n");
    for (n, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&folder).unwrap_or(file);
        let name = name.to_string_lossy().replace('\\', "/");
        // A copy, so that another `make desk` in the middle of a build does it no harm.
        let copy = out.join(format!("desk-{n}"));
        fs::copy(file, &copy)?;
        list.push_str(&format!("    ({name:?}, include_bytes!({copy:?})),\n"));
    }
    list.push_str("]\n");
    fs::write(out.join("desk.rs"), list)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
