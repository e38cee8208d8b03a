//! Files of other projects that lie in this repository are what their projects have published, with their licences.

use sha2::{Digest, Sha256};

use crate::finding::{Finding, assert_none};
use crate::source::{read, root};

/// A file as a package of the npm registry has it.
struct Vendored {
    path: &'static str,
    /// Package and version.
    package: &'static str,
    /// Where it lies in the package.
    file: &'static str,
    sha256: &'static str,
}

/// uPlot draws the dashboard's charts. MIT; one file, no dependencies, the build that its author publishes. To update it:
/// `npm pack uplot@<version>`, copy the three files, and note here what `sha256sum` says.
const VENDORED: &[Vendored] = &[
    Vendored {
        path: "analytics/dashboard/uplot.js",
        package: "uplot@1.6.32",
        file: "dist/uPlot.iife.min.js",
        sha256: "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    },
    Vendored {
        path: "analytics/dashboard/uplot.css",
        package: "uplot@1.6.32",
        file: "dist/uPlot.min.css",
        sha256: "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    },
    Vendored {
        path: "analytics/dashboard/uplot.LICENSE",
        package: "uplot@1.6.32",
        file: "LICENSE",
        sha256: "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    },
];

#[test]
fn vendored_files_are_as_published() {
    let findings: Vec<Finding> = VENDORED.iter().filter_map(changed).collect();
    assert_none("files of others are not changed here", "take the file from its package again", &findings);
}

fn changed(vendored: &Vendored) -> Option<Finding> {
    let bytes = std::fs::read(root().join(vendored.path)).unwrap_or_default();
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let what = || format!("is not {} of {}: its SHA-256 is {found}", vendored.file, vendored.package);
    (found != vendored.sha256).then(|| Finding::new(vendored.path, 0, what()))
}

#[test]
fn the_licence_is_kept_and_allows_it() {
    let licence = read("analytics/dashboard/uplot.LICENSE").text;
    assert!(licence.starts_with("The MIT License (MIT)") && licence.contains("Leon Sorokin"), "{licence}");
    let version = read("analytics/dashboard/uplot.js").text;
    assert!(version.contains("(v1.6.32)"), "the file names the version that is pinned here");
}
