//! Python with pinned packages, for checks that others have written.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

/// The folder of the scripts and of the lists of packages.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// The Python of a venv with exactly the packages of a list in [`folder`], made once per list under the target folder.
pub async fn environment(requirements: &'static str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _alone = ONE_AT_A_TIME.lock().await;
    tokio::task::spawn_blocking(move || install(&folder().join(requirements))).await.expect("an environment")
}

fn install(requirements: &Path) -> PathBuf {
    let pins = std::fs::read(requirements).expect("the list of packages");
    let digest: String = Sha256::digest(&pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let venv = target().join(format!("python-{digest}"));
    let python = venv.join("bin/python");
    let done = venv.join("installed");
    if done.exists() {
        return python;
    }
    // Left half made by a run that was stopped.
    let _ = std::fs::remove_dir_all(&venv);
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
    run(pip.arg(requirements));
    std::fs::write(&done, "").expect("a mark in the venv");
    python
}

/// Where cargo lets tests put what outlives them.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.parent().and_then(Path::parent).and_then(Path::parent).expect("the target folder");
    folder.join("tmp")
}

fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: Python 3 with venv and pip is needed"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}
